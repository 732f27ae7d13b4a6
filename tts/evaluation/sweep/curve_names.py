"""What the curves of a sweep are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tts.evaluation.sweep.reading import ResultPoint


def m_name(point: ResultPoint) -> str:
    """M, as curves over another axis are called."""
    return f"M = {point.candidates}"


def method(point: ResultPoint, selector: bool = False) -> str:
    """How a point chooses, in a few words."""
    if point.plain:
        return "plain"
    return m_name(point) + (f", {point.setting.selector}" if selector else "")


def selector_name(points: Sequence[ResultPoint]) -> Callable[[ResultPoint], str]:
    """Names of selectors, with k where it matters and the temperature where it varies."""
    temperatures: dict[str | None, set[float]] = {}
    for point in points:
        if point.setting.temperature is not None:
            temperatures.setdefault(point.setting.selector, set()).add(point.setting.temperature)

    def name(point: ResultPoint) -> str:
        setting = point.setting
        parts = [setting.selector or "?"]
        if setting.top_k_select is not None:
            parts.append(f"k = {setting.top_k_select}")
        if temperatures.get(setting.selector, set()) - {1.0}:
            parts.append(f"T = {setting.temperature:g}")
        return ", ".join(parts)

    return name


def short_names(texts: Sequence[str]) -> dict[str, str]:
    """Names for scorers given as text: a file goes by its folder or its stem while those are distinct."""
    short = {text: _short(text) for text in texts}
    doubled = {name for name, times in Counter(short.values()).items() if times > 1}
    return {text: text if name in doubled else name for text, name in short.items()}


def _short(text: str) -> str:
    name, colon, argument = text.partition(":")
    path = Path(argument if colon else text)
    if path.suffix not in (".safetensors", ".pth", ".pt") and "/" not in str(path):
        return text
    stem = path.parent.name if path.stem in ("scorer", "") and path.parent.name else path.stem
    return f"{name}:{stem}" if colon and name != "learned" else stem
