"""The conformance check of feature extractors.

Axis letters: N images, S pixels a side, D pooled features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.evaluation.features import FeatureExtractor, Features
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title
from tts.testing.image_scorers import some_images

WHERE = "FeatureExtractor in tts/evaluation/features.py"
ROUNDING = 1e-4
PARTS = ("pool", "spatial", "logits")


@torch.inference_mode()
def check_features(
    extractor: FeatureExtractor, image_size: int | None = None, *, tolerance: float = ROUNDING
) -> None:
    """Check the contract of a feature extractor on images of ``image_size`` pixels a side.

    The size is the extractor's own, or 32 where it takes any, unless it is given. ``tolerance`` bounds
    differences that only rounding makes, as a share of the largest feature. Raises ``ConformanceError``.
    """
    contract = Contract(title("features", extractor), WHERE)
    check_facts(extractor, contract)
    images = (some_images(image_size or extractor.image_size or 32) * 255).round().to(torch.uint8)
    found = []
    for seed in (1, 2):
        with (
            contract.keeps("extract(images) must take uint8 images (N, 3, S, S)"),
            no_global_chance(contract, "extract", seed),
            contract.unchanged("extract", images=images),
        ):
            features = extractor.extract(images)
        check_parts(features, extractor, len(images), contract)
        found.append(features)
    same = "the same images must have the same features each time, whatever the global seed is"
    compare(found[1], found[0], same, contract, 0.0)
    rule = "the features of an image must not depend on the rest of the batch"
    with contract.keeps(rule):
        alone = Features.cat([extractor.extract(images[i : i + 1]) for i in range(len(images))])
    compare(alone, found[0], rule, contract, tolerance)
    check_floats(extractor, images, found[0], contract, tolerance)


def check_floats(
    extractor: FeatureExtractor, images: Tensor, wanted: Features, contract: Contract, tolerance: float
) -> None:
    """Floats in [0, 1], which many tools give, must not be taken for bytes, which would be all but black."""
    try:
        features = extractor.extract(images.float() / 255)
    except Exception:  # whatever it says, it refuses
        return
    rule = "images of floats in [0, 1] must be refused (tts.evaluation.features.check_images), or scaled"
    compare(features, wanted, rule, contract, tolerance)


def check_facts(extractor: FeatureExtractor, contract: Contract) -> None:
    """Name, title, sizes and the record."""
    for name in ("name", "title"):
        contract.text(getattr(extractor, name, None), name)
    dimensions = getattr(extractor, "dimensions", None)
    right = isinstance(dimensions, int) and dimensions > 0
    contract.require(right, "dimensions must be a whole number of at least 1", f"got {dimensions!r}")
    size = getattr(extractor, "image_size", 0)
    right = size is None or (isinstance(size, int) and size > 0)
    contract.require(
        right, "image_size must be the only side that is taken, or None for any", f"got {size!r}"
    )
    knows = getattr(extractor, "knows_labels", None)
    contract.require(isinstance(knows, bool), "knows_labels must be True or False", f"got {knows!r}")
    described = callable(getattr(extractor, "describe", None))
    contract.require(described, "describe() must give name and weights for records", "there is none")
    contract.record(extractor)


def check_parts(features: object, extractor: FeatureExtractor, images: int, contract: Contract) -> None:
    """Features of so many images: float32, finite, on the CPU, one row an image."""
    if not isinstance(features, Features):
        contract.fail("extract must return tts.Features", f"got {type(features).__name__}")
    shape = (images, extractor.dimensions)
    contract.tensor(features.pool, shape, "pool", torch.float32)
    for name in PARTS:
        part = getattr(features, name)
        if part is None:
            continue
        width = part.shape[-1] if isinstance(part, torch.Tensor) and part.ndim else 0
        contract.tensor(part, (images, width), name, torch.float32)
        contract.finite(part, (images, width), name)
        on_cpu = part.device.type == "cpu"
        contract.require(on_cpu, f"{name} must be on the CPU", f"it is on {part.device}")
    if extractor.knows_labels and features.logits is None:
        contract.fail("where knows_labels is True there must be logits", "logits are None")


def compare(got: Features, wanted: Features, rule: str, contract: Contract, tolerance: float) -> None:
    """All parts must agree."""
    for name in PARTS:
        part, other = getattr(got, name), getattr(wanted, name)
        contract.require((part is None) == (other is None), rule, f"{name} is there only sometimes")
        if part is not None:
            contract.same(part, other, rule, name, tolerance)
