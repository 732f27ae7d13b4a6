"""The page of a scorer that ``tts train-scorer`` made."""

from __future__ import annotations

import statistics
from pathlib import Path

from tts.evaluation.report.command import command_line
from tts.evaluation.report.made import how_made
from tts.evaluation.report.page import Anchors, Figure, Note, Page, Section, Table, Tile, Tiles
from tts.evaluation.report.picture import load_picture
from tts.evaluation.report.record import Record
from tts.evaluation.report.values import number, plain, seconds
from tts.scorers.train_config import TrainConfig
from tts.scorers.train_files import METRICS_FILE

REMEDY = "train the scorer anew with --overwrite"
PICTURES = (
    (
        "curves.png",
        "Held-out loss and accuracy",
        "Loss and accuracy of each scale on held-out pairs, epoch by epoch.",
        "figure 5",
    ),
    (
        "scores.png",
        "Scores of real and generated maps",
        "Histograms of the scores of held-out real and generated token maps, the first scale left out.",
        "figure 7",
    ),
)


def training_page(folder: Path) -> Page:
    """The page of a training's folder."""
    record, anchors = Record.open(folder / METRICS_FILE, REMEDY), Anchors()
    settings = record.part("settings")
    loss = settings.text("loss", "unknown")
    epochs = len(list(record.parts("history")))
    return Page(
        "Scorer training",
        f"Scorer {folder.resolve().name}",
        f"Trained with the {loss} loss for {epochs} {'epoch' if epochs == 1 else 'epochs'}.",
        (
            _overview(record, anchors),
            _pictures(folder, record, anchors),
            _epochs(record, anchors),
            _made(record, anchors),
        ),
    )


def _overview(record: Record, anchors: Anchors) -> Section:
    held, gap = record.part("held_out"), record.part("held_out").part("score_gap")
    loss, accuracy = held.numbers("loss"), held.numbers("accuracy")
    scales = record.numbers("scales")
    judged = [value for scale, value in zip(scales, accuracy, strict=False) if scale > 1] or accuracy
    tiles = (
        Tile("Held-out accuracy", number(statistics.fmean(judged), 3), "mean over scales, without the first"),
        Tile("Score gap", number(gap.number("gap"), 3), "mean score of real less generated maps"),
        Tile("KL(real || generated)", number(gap.number("kl"), 3), "nats, of the score histograms"),
        Tile(
            "Kept epoch", plain(record.values.get("kept_epoch")), f"after {seconds(record.number('seconds'))}"
        ),
    )
    rows = tuple(
        (str(scale), number(a), number(b)) for scale, a, b in zip(scales, loss, accuracy, strict=False)
    )
    table = Table("Held-out pairs of the kept epoch, by scale", ("Scale", "Loss", "Accuracy"), rows)
    notes = tuple(Note(f"Warning: {text}.") for text in record.values.get("warnings") or ())
    return Section(anchors.name("Held-out figures"), "Held-out figures", (Tiles(tiles), *notes, table))


def _pictures(folder: Path, record: Record, anchors: Anchors) -> Section:
    section = anchors.name("Curves and histograms")
    stated = record.part("files")
    figures = tuple(
        Figure(
            anchors.name(title),
            title,
            caption,
            paper,
            load_picture(folder / name, caption, sha256=stated.text(name) or None),
        )
        for name, title, caption, paper in PICTURES
        if (folder / name).is_file()
    )
    missing = Note("No pictures: the training ran without matplotlib.")
    return Section(section, "Curves and histograms", figures or (missing,))


def _epochs(record: Record, anchors: Anchors) -> Section:
    scales = [plain(scale) for scale in record.numbers("scales")]
    header = ("Epoch", "Train loss", *(f"Accuracy, scale {scale}" for scale in scales))
    rows = tuple(
        (plain(row.number("epoch")), number(row.number("train_loss")), *map(number, row.numbers("accuracy")))
        for row in record.parts("history")
    )
    kept = record.number("kept_epoch")
    table = Table(
        "Accuracy on held-out pairs after each epoch", header, rows, marked=int(kept) - 1 if kept else None
    )
    return Section(anchors.name("Epochs"), "Epochs", (table,))


def _made(record: Record, anchors: Anchors) -> Section:
    command = command_line("train-scorer", TrainConfig, record.part("settings").values)
    groups = (
        ("Settings as resolved", record.part("resolved").values),
        ("Environment", {**record.part("environment").values, "processes": record.values.get("processes")}),
    )
    return how_made(anchors, command, "The command, as recorded in metrics.json:", groups)
