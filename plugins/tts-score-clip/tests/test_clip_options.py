"""What the text after the colon may be, and what it may not."""

from __future__ import annotations

import pytest
from tts_score_clip_options import Options, class_names, parse

from tts.errors import UsageError


def test_all_options_are_read(tmp_path):
    assert parse("openai/clip-vit-base-patch32") == Options("openai/clip-vit-base-patch32")
    folder = tmp_path / "clip, large"
    folder.mkdir()
    text = f"{folder},classes=names, all.txt, prompt=a {{}}, drawn: well,mode=probability,dtype=bfloat16"
    expected = Options(str(folder), "names, all.txt", "a {}, drawn: well", "probability", "bfloat16")
    assert parse(text) == expected
    assert expected.local


def test_templates_are_parted_by_bars():
    assert parse("clip,prompt=a {} | the {}").templates == ("a {}", "the {}")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (None, "names no model; write clip:MODEL"),
        ("", "names no model"),
        ("classes=x.txt", "names no model"),
        (" ,classes=x.txt", "names no model"),
        ("./missing", "found no folder './missing'"),
        ("/no/where/clip", "found no folder"),
        ("C:\\models\\clip", "found no folder"),
        ("D:/models/clip,classes=digits", "found no folder 'D:/models/clip'"),
        ("a/b/c", "found no folder 'a/b/c'"),
        ("clip:large", "found no folder 'clip:large'"),
        ("clip,large", "found no folder 'clip,large'"),
        ("clip,size=3", "cannot read 'size=3' .options: classes, prompt, mode, dtype"),
        ("clip,mode=", "cannot read 'mode='"),
        ("clip,mode=logits", "mode 'logits' of scorer clip is unknown; write mode=similarity or"),
        ("clip,dtype=int8", "dtype 'int8'"),
        ("clip,mode=similarity,mode=similarity", "has mode twice"),
        ("clip,prompt=a photo", "prompt 'a photo' of scorer clip must hold {} once"),
        ("clip,prompt={} and {}", "must hold {} once"),
        ("clip,prompt=a {}|", "prompt '' of scorer clip"),
    ],
)
def test_what_cannot_be_read_is_one_line(argument, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as caught:
        parse(argument)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_names_are_read_in_order(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeff tench \r\ngoldfish\r\nsão\r\n\r\n".encode())
    assert class_names(Options("clip", str(file)), 3) == ("tench", "goldfish", "são")


def test_names_are_required():
    with pytest.raises(UsageError, match="needs the names of the 1000 classes; add classes=FILE"):
        class_names(Options("clip"), 1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo\n", "names 2 classes, the backbone draws 3"),
        (b"", "names 0 classes"),
        (b"one\n\nthree\n", "line 2 of .* is empty"),
        (b"\xff\xfe\xff", "cannot read the class names in"),
    ],
)
def test_other_names_are_refused(content, message, tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        class_names(Options("clip", str(file)), 3)


def test_a_missing_file_and_digits_of_other_classes_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        class_names(Options("clip", str(tmp_path / "none.txt")), 3)
    with pytest.raises(UsageError, match="classes=digits names 10 classes, the backbone draws 1000"):
        class_names(Options("clip", "digits"), 1000)
