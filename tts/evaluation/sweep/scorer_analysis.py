"""What the learned scorers of a sweep tell apart: figures 5 and 7 and table 10 of the LSRS paper.

Axis letters: R real maps, G generated maps, P same-class pairs of both, S scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from tts.backbones.storage import EMBEDDED
from tts.building import Model
from tts.errors import CheckpointError, RunError, TtsError
from tts.evaluation.sweep.curve_names import short_names
from tts.evaluation.sweep.reading import Results
from tts.evaluation.sweep.scorer_maps import Maps, generated_maps, real_maps
from tts.interfaces import Backbone, Proposals, Scorer
from tts.io import sha256_file, write_json
from tts.pipeline import default_batch
from tts.records import read_record, tagged
from tts.scorers.learned import LearnedScorer
from tts.scorers.losses import pairwise, pointwise
from tts.scorers.report import BINS, ScoreGap, beyond_first, score_gap

SCORERS = "scorers.json"
FORMAT = "scalewise-tts-scorers-1"


@dataclass(frozen=True)
class Judgement:
    """How a scorer judges held-out maps.

    ``accuracy`` is the share of same-class pairs with S_real > S_gen at each scale, ``loss`` the mean of
    equation 4 over those pairs, ``pointwise_loss`` that of equation 5 over the maps. The histogram and
    ``gap``, with the mean scores and KL(real || generated) in nats, leave the first scale out.
    """

    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    pointwise_loss: tuple[float, ...]
    gap: ScoreGap
    edges: tuple[float, ...]
    real_counts: tuple[int, ...]
    generated_counts: tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """A scorer of the sweep: ``text`` names it in settings; ``scales``, from 1, are those of its training."""

    name: str
    text: str
    file: str
    sha256: str
    parameters: int
    trained_with: str | None
    scales: tuple[int, ...]
    judgement: Judgement | None


@dataclass(frozen=True)
class Analysis:
    """The learned scorers among the ``asked`` ones on the same maps; ``parameters`` are the transformer's.

    Without labelled images in the reference there are no judgements, and ``real`` and ``generated`` are 0.
    """

    backbone: str
    parameters: int | None
    reference: str
    real: int
    generated: int
    asked: tuple[str, ...]
    scorers: tuple[Judged, ...]

    @property
    def judged(self) -> tuple[tuple[Judged, Judgement], ...]:
        """The scorers that have judgements, with them."""
        return tuple((one, one.judgement) for one in self.scorers if one.judgement is not None)


def analyse(results: Results, model: Model) -> tuple[Analysis, str | None]:
    """Judge maps of the reference and of the plain model by every learned scorer of a sweep.

    Also returns why there are no judgements, if there are none.
    """
    texts = scorer_texts(results)
    built = {text: model.scorer(text) for text in texts}
    learned = {text: scorer for text, scorer in built.items() if isinstance(scorer, LearnedScorer)}
    reference = "heldout" if results.reference in ("train", "all") else results.reference
    real = generated = None
    remark = None
    try:
        if learned:
            real = real_maps(results.reference, model)
            generated, _ = generated_maps(real.labels, model, results.base.guidance)
    except TtsError as error:
        remark = str(error)
    names = short_names(list(learned))
    judged = []
    for text, scorer in learned.items():
        found = None
        if real is not None and generated is not None:
            found = judge(scorer, model.backbone, real, generated, model.device)
        judged.append(_judged(names[text], text, scorer, model.info.schedule, found))
    transformer = getattr(model.backbone, "transformer", None)
    size = parameters(transformer) if isinstance(transformer, nn.Module) else None
    counts = len(real) if real else 0, len(generated) if generated else 0
    return Analysis(model.info.name, size, reference, *counts, tuple(texts), tuple(judged)), remark


def scorer_texts(results: Results) -> list[str]:
    """The scorers that the points of a sweep name, in order."""
    return list(dict.fromkeys(p.setting.scorer for p in results.points if p.setting.scorer is not None))


def parameters(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(weight.numel() for weight in network.parameters())


def _judged(
    name: str, text: str, scorer: LearnedScorer, schedule: tuple[int, ...], found: Judgement | None
) -> Judged:
    """A scorer with what its file says of its training."""
    settings = scorer.card.training.get("settings") or {}
    own = scorer.card.identity is not None and scorer.card.identity.schedule == schedule
    scales = settings.get("scales") if own else None
    return Judged(
        name=name,
        text=text,
        file=scorer.path.name if scorer.path.is_relative_to(EMBEDDED) else str(scorer.path),
        sha256=sha256_file(scorer.path),
        parameters=parameters(scorer.network),
        trained_with=settings.get("loss"),
        scales=tuple(k + 1 for k in (range(len(schedule)) if scales is None else scales)),
        judgement=found,
    )


def judge(scorer: Scorer, backbone: Backbone, real: Maps, generated: Maps, device: torch.device) -> Judgement:
    """The figures of a scorer, over all same-class pairs of a real and a generated map."""
    rows, columns = pairs(real.labels, generated.labels)  # P, P
    if not len(rows):
        raise RunError("real and generated maps have no class in common, pairs need one")
    ours = scores(scorer, backbone, real, device)  # R S
    theirs = scores(scorer, backbone, generated, device)  # G S
    scales = range(ours.shape[1])
    first, second = (beyond_first(each, tuple(scales)).flatten() for each in (ours, theirs))
    low, high = (float(bound) for bound in torch.cat((first, second)).aminmax())
    counts = [torch.histc(each, BINS, low, high).long().tolist() for each in (first, second)]
    wins = ours[rows] > theirs[columns]  # P S
    return Judgement(
        accuracy=tuple(wins.double().mean(dim=0).tolist()),
        loss=tuple(float(pairwise(ours[rows, k], theirs[columns, k])) for k in scales),
        pointwise_loss=tuple(float(pointwise(ours[:, k], theirs[:, k])) for k in scales),
        gap=score_gap(first, second),
        edges=tuple(torch.linspace(low, high, BINS + 1, dtype=torch.float64).tolist()),
        real_counts=tuple(counts[0]),
        generated_counts=tuple(counts[1]),
    )


def pairs(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (P,), (P,) of all pairs of equal labels (R,), (G,)."""
    rows, columns = (real[:, None] == generated[None]).nonzero(as_tuple=True)
    return rows, columns


@torch.inference_mode()
def scores(scorer: Scorer, backbone: Backbone, maps: Maps, device: torch.device) -> Tensor:
    """Scores (N, S), float32, of finished maps at every scale, on the CPU.

    How probable their tokens were is not known, so a scorer that asks for it gives no number: a ``RunError``.
    """
    info = backbone.info
    found = []
    batch = default_batch(info.tokens)
    for tokens, labels in zip(maps.tokens.split(batch), maps.labels.split(batch), strict=True):
        tokens, labels = tokens.to(device), labels.to(device)
        views, parts = backbone.views(tokens), tokens.split(info.lengths, dim=1)
        columns = []
        for scale, (view, part) in enumerate(zip(views, parts, strict=True)):
            candidates = rearrange(part, "b l -> b 1 l")
            unknown = torch.full(candidates.shape, torch.nan, device=device)
            proposals = Proposals(scale, labels, candidates, rearrange(view, "b c h w -> b 1 c h w"), unknown)
            columns.append(scorer.score(proposals)[:, 0])
        found.append(torch.stack(columns, dim=1).float().cpu())
    scored = torch.cat(found)  # N S
    if not bool(scored.isfinite().all()):
        raise RunError(f"scorer {scorer.name} gave scores that are not finite; check its weights")
    return scored


def write_analysis(folder: Path, analysis: Analysis) -> None:
    """Write ``scorers.json``."""
    write_json(folder / SCORERS, tagged(FORMAT, analysis))


def read_analysis(folder: Path, texts: Sequence[str]) -> Analysis | None:
    """What was found before, if it is there and the same scorers were asked for."""
    try:
        found = read_record(
            folder / SCORERS, Analysis, "analysis of scorers", "draw the figures anew", FORMAT, own=True
        )
    except CheckpointError:
        return None
    return found if found.asked == tuple(texts) else None
