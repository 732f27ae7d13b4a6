"""What curves are called."""

from __future__ import annotations

from tts.evaluation.sweep.curve_names import short_names


def test_files_of_scorers_have_short_names() -> None:
    assert short_names(["learned", "likelihood"]) == {"learned": "learned", "likelihood": "likelihood"}
    texts = ["runs/pairwise/scorer.safetensors", "learned:runs/b/other.safetensors", "mine:x.safetensors"]
    assert list(short_names(texts).values()) == ["pairwise", "other", "mine:x"]
    same = ["a/best/scorer.safetensors", "b/best/scorer.safetensors"]
    assert list(short_names(same).values()) == same
