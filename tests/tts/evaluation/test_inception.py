"""The features of the FID against golden ones of the published network, and what they must not depend on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tts.errors import CheckpointError, ShapeError
from tts.evaluation.features import TO_BYTES, Features, check_features
from tts.evaluation.inception import InceptionFeatures, build
from tts.evaluation.inception_network import pooled
from tts.evaluation.inception_weights import FILE
from tts.io import sha256_file
from tts.resolve import build_features
from tts.specs import FeatureRequest

CPU = torch.device("cpu")
TOLERANCE = 1e-5
Error = Callable[[Tensor, Tensor], float]


@pytest.fixture(scope="module")
def inception(inception_file: Path) -> InceptionFeatures:
    return build(FeatureRequest(CPU, str(inception_file)))


@pytest.fixture(scope="module")
def tensors(golden: Callable[[str], dict[str, Tensor]]) -> dict[str, Tensor]:
    return golden("inception")


@pytest.fixture(scope="module")
def found(inception: InceptionFeatures, tensors: dict[str, Tensor]) -> Features:
    """Features of the golden images."""
    return inception.extract(tensors["images"])


def noise(count: int, side: int) -> Tensor:
    """Images (N, 3, S, S)."""
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("part", "key"),
    [("pool", "2048"), ("spatial", "spatial_mixed6_first7_nhwc"), ("logits", "logits_unbiased")],
)
def test_features_are_those_of_the_published_network(
    found: Features, tensors: dict[str, Tensor], error: Error, part: str, key: str
) -> None:
    assert error(getattr(found, part), tensors[f"features.{key}"]) < TOLERANCE


def test_the_stages_before_are_too(
    inception: InceptionFeatures, tensors: dict[str, Tensor], error: Error
) -> None:
    network = inception.network
    with torch.inference_mode():
        first = network.first_pool(inception.prepare(tensors["images"]))
        second = network.second_pool(first)
        mixed_6e = network.mixed_6e(network.mixed_6d(second))
    for maps, width in ((first, 64), (second, 192), (mixed_6e, 768)):
        assert error(pooled(maps), tensors[f"features.{width}"]) < TOLERANCE, width


def test_logits_lack_the_bias_only(
    inception: InceptionFeatures, found: Features, tensors: dict[str, Tensor], error: Error
) -> None:
    assert found.logits is not None
    assert error(found.logits + inception.network.fc.bias, tensors["features.logits"]) < TOLERANCE


def test_features_have_the_shapes_of_the_protocol(inception: InceptionFeatures, found: Features) -> None:
    check_features(found, inception, 3)
    assert (inception.name, inception.title, inception.image_size) == ("inception", "FID", None)
    assert not inception.knows_labels
    assert found.spatial is not None
    assert found.logits is not None
    assert found.labels is None
    assert (found.pool.shape[1], found.spatial.shape[1], found.logits.shape[1]) == (2048, 7 * 17 * 17, 1008)
    assert all(part.dtype == torch.float32 for part in (found.pool, found.spatial, found.logits))


def test_features_do_not_depend_on_the_batch(inception: InceptionFeatures, error: Error) -> None:
    images = noise(33, 64)
    together = inception.extract(images)
    for split in (slice(0, 1), slice(16, 19), slice(32, 33)):
        apart, part = inception.extract(images[split]), together.rows(split)
        for name in ("pool", "spatial", "logits"):
            assert error(getattr(apart, name), getattr(part, name)) < TOLERANCE, (split, name)


def test_the_layout_in_memory_does_not_matter_and_images_are_left_alone(
    inception: InceptionFeatures, error: Error
) -> None:
    images = noise(2, 48)
    before = images.clone()
    last = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert error(inception.extract(last).pool, inception.extract(images).pool) < TOLERANCE
    assert torch.equal(images, before)


def test_images_of_every_size_are_taken(inception: InceptionFeatures) -> None:
    for side in (1, 16, 300, 512):
        check_features(inception.extract(noise(1, side)), inception, 1)


def test_the_precision_of_a_gpu_is_kept_and_given_back(
    inception: InceptionFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions in TF32 would be wrong by 1e-3."""
    seen, mixed_6e = [], inception.network.mixed_6e

    def spy(x: Tensor) -> Tensor:
        seen.append(torch.backends.cudnn.allow_tf32)
        return mixed_6e(x)

    monkeypatch.setattr(inception.network, "mixed_6e", spy)
    before = torch.backends.cudnn.allow_tf32
    inception.extract(noise(1, 32))
    assert (seen, torch.backends.cudnn.allow_tf32) == ([False], before)


@pytest.mark.parametrize(
    ("images", "got", "way"),
    [
        (torch.rand(1, 3, 8, 8), "float32 (1, 3, 8, 8)", f"; {TO_BYTES}"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8 (3, 8, 8)", ""),
        (noise(1, 8)[:, :1], "uint8 (1, 1, 8, 8)", ""),
    ],
)
def test_what_are_no_pixels_is_refused(
    inception: InceptionFeatures, images: Tensor, got: str, way: str
) -> None:
    line = f"images are {got}, features take uint8 (N, 3, S, S){way}"
    with pytest.raises(ShapeError, match=f"^{re.escape(line)}$"):
        inception.extract(images)


def test_the_description_names_the_weights(inception: InceptionFeatures, inception_file: Path) -> None:
    assert inception.describe() == {"name": "inception", "sha256": sha256_file(inception_file)}


def test_a_name_without_a_file_takes_the_fetched_one(
    inception_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        build_features("inception", CPU)
    assert str(caught.value) == (
        "no weights for features 'inception'; run 'tts fetch inception' or pass --features inception:FILE"
    )
    (tmp_path / FILE).symlink_to(inception_file)
    assert build_features("inception", CPU).describe()["sha256"] == sha256_file(inception_file)
