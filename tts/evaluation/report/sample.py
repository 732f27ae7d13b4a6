"""The page of a run of ``tts sample``."""

from __future__ import annotations

from pathlib import Path

from tts.evaluation.report.command import command_line
from tts.evaluation.report.evaluation import evaluation_sections
from tts.evaluation.report.made import how_made
from tts.evaluation.report.page import Anchors, Block, Figure, Note, Page, Section, Tile, Tiles
from tts.evaluation.report.picture import load_picture
from tts.evaluation.report.record import Record
from tts.evaluation.report.values import NONE, number, plain, seconds
from tts.outputs import GRID, RECORD
from tts.sample_config import SampleConfig

REMEDY = "sample the images anew"


def sample_page(folder: Path) -> Page:
    """The page of a run's folder."""
    record, anchors = Record.open(folder / RECORD, REMEDY), Anchors()
    backbone = record.part("backbone").text("name", "an unknown backbone")
    images = number(record.need("images"))
    figures = evaluation_sections(folder, anchors)
    sections = (_overview(folder, record, anchors), *figures, _made(record, anchors))
    return Page("Samples", folder.resolve().name, f"{images} images of {backbone}.", sections)


def _overview(folder: Path, record: Record, anchors: Anchors) -> Section:
    section = anchors.name("Images")
    timing = record.part("timing")
    spent = seconds(timing.number("generate_seconds"))
    tiles = (
        Tile(
            "Images", number(record.need("images")), f"class {record.part('settings').text('labels', '0-9')}"
        ),
        *_choice(record),
        Tile(
            "Images per second",
            number(timing.number("images_per_second"), 3),
            f"{spent}, batches of {plain(timing.values.get('batch_size'))}",
        ),
    )
    return Section(section, "Images", (Tiles(tiles), _grid(folder / GRID, record, anchors)))


def _choice(record: Record) -> tuple[Tile, Tile]:
    """What was chosen from, and by what."""
    resolved = record.part("resolved")
    if "image_scorer" in record:
        whole = plain(resolved.values.get("whole_images"))
        judge = record.part("image_scorer").text("name", NONE)
        return Tile("Candidates", whole, "whole images"), Tile("Chosen by", judge, "image scorer")
    scorer = record.part("scorer").text("name", "none")
    return (
        Tile("Candidates", plain(resolved.values.get("candidates")), "at each scale, from the first"),
        Tile("Chosen by", record.text("selector", NONE), f"scorer {scorer}"),
    )


def _grid(path: Path, record: Record, anchors: Anchors) -> Block:
    if not path.is_file():
        return Note(f"No picture of the images: {path.name} is missing.")
    caption = "The first images of the first classes, a row a class."
    stated = record.part("files").text(GRID) or None
    picture = load_picture(path, caption, grid=True, sha256=stated)
    return Figure(anchors.name("First images"), "First images", caption, "", picture)


def _made(record: Record, anchors: Anchors) -> Section:
    settings = record.part("settings").values
    command = command_line("sample", SampleConfig, settings)
    scorer = record.part("scorer").values
    groups = (
        ("Settings as given", settings),
        ("Settings as resolved", record.part("resolved").values),
        ("Backbone", record.part("backbone").values),
        ("Scorer", scorer),
        ("Image scorer", record.part("image_scorer").values),
        ("Timing", record.part("timing").values),
        ("Environment", record.part("environment").values),
    )
    return how_made(anchors, command, "A command with the recorded settings:", groups)
