"""The points of a sweep: what stands at the top of the page, and their first images."""

from __future__ import annotations

from collections.abc import Iterator

from tts.evaluation.report.page import Anchors, Block, Note, Section, Strip, Tile, Tiles
from tts.evaluation.report.picture import load_picture
from tts.evaluation.report.values import change, number
from tts.evaluation.sweep.curves import Curves
from tts.evaluation.sweep.measures import Names, decimals_for
from tts.evaluation.sweep.pictures import strip
from tts.evaluation.sweep.reading import ResultPoint, Results
from tts.evaluation.sweep.store import POINTS, STRIP_FILE
from tts.evaluation.sweep.tables import number as measured

STRIPS = 4_000_000
"""Bytes of first images that a page takes at most."""


def overview(results: Results) -> Tiles:
    """How much was measured, the plain model's distance and the lowest one."""
    sets = "seed set" if results.sets == 1 else "seed sets"
    tiles = [
        Tile("Points", number(len(results.points)), "settings"),
        Tile("Images", number(results.images), f"a point, in each of {results.sets} {sets}"),
    ]
    plain, best = Curves(results).plain, lowest(results)
    base = None if plain is None else plain.mean("fid")
    if plain is not None:
        tiles.append(Tile(f"{results.title}, plain model", _distance(plain), "no selection"))
    if best is not None and best is not plain:
        gain = "" if base is None else f": {change(best.mean('fid') or 0.0, base)} against plain"
        tiles.append(Tile(f"Lowest {results.title}", _distance(best), f"{best.label}{gain}"))
    return Tiles(tuple(tiles))


def lowest(results: Results) -> ResultPoint | None:
    """The point with the lowest mean Frechet distance."""
    known = [(mean, point) for point in results.points if (mean := point.mean("fid")) is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def _distance(point: ResultPoint) -> str:
    measure = Names("").fid
    found = measured(point, measure)
    return number(None) if found is None else found.text(decimals_for(measure, [found.mean]))


def first_images(anchors: Anchors, results: Results) -> Iterator[Section]:
    """The first images of every point, in the order of the results; no section where there are none."""
    blocks = tuple(_strips(results))
    if blocks:
        yield Section(anchors.name("First images"), "First images", blocks)


def _strips(results: Results) -> Iterator[Block]:
    total = 0
    for point in results.points:
        path = results.folder / POINTS / point.id / STRIP_FILE
        if not path.is_file():
            continue
        strip(results.folder, point)  # refuses a picture that is not the point's
        total += path.stat().st_size
        if total > STRIPS:
            yield Note("The images of further points are left out, for the page would be too large.")
            return
        yield Strip(point.label, load_picture(path, f"First images of {point.label}", grid=True))
