from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tts import io
from tts.errors import CheckpointError, RunError, ShapeError, TtsError, UsageError


def assert_one_line(error: pytest.ExceptionInfo[TtsError]) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert not message.endswith(".")


def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "plain").write_text("a file, not a folder")
    return tmp_path / "plain" / "sub"


def test_atomic_path_keeps_the_old_file_when_the_body_fails(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with io.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail_half_way()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_atomic_path_replaces_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    with io.atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".tmp"
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_file_takes_the_place_of_a_pipe_or_a_folder(tmp_path: Path, refused: Any, make: Any) -> None:
    make(tmp_path / "x")
    mode = (tmp_path / "x").stat().st_mode
    with refused("is no regular file, and is not replaced by one"):
        io.write_json(tmp_path / "x", {})
    assert (tmp_path / "x").stat().st_mode == mode


def test_atomic_path_leaves_foreign_errors_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), io.atomic_path(tmp_path / "x") as temporary:
        temporary.write_text((tmp_path / "another").read_text())


@pytest.mark.parametrize(
    "write",
    [
        lambda path: io.write_json(path, {}),
        lambda path: io.save_tensors(path, {"a": torch.zeros(1)}, {}),
        lambda path: io.save_png(path, np.zeros((2, 2, 3), np.uint8)),
        lambda path: io.save_npz(path, a=np.zeros(1)),
    ],
)
def test_a_write_that_cannot_succeed_is_one_line(write: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*not a directory") as error:
        write(below_a_file(tmp_path) / "file")
    assert_one_line(error)


def test_json_round_trip(tmp_path: Path) -> None:
    record = {"name": "zahl \u00fc", "list": [1, 2.5, None]}
    io.write_json(tmp_path / "a.json", record)
    assert io.read_json(tmp_path / "a.json") == record


@pytest.mark.parametrize("content", [b'{"a": ', b"", b"\xff\xfe\x00"])
def test_bad_json_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a valid record") as error:
        io.read_json(tmp_path / "a.json")
    assert_one_line(error)


def test_failed_json_keeps_the_old_file(tmp_path: Path) -> None:
    io.write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        io.write_json(tmp_path / "a.json", object())
    assert json.loads((tmp_path / "a.json").read_text()) == 1


def test_tensors_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    columns = torch.arange(12, dtype=torch.int16).reshape(3, 4)
    io.save_tensors(path, {"t": columns.T, "w": torch.ones(2, requires_grad=True)}, {"config": "{}"})
    tensors, metadata = io.load_tensors(path)
    assert torch.equal(tensors["t"], columns.T)
    assert tensors["t"].dtype == torch.int16
    assert metadata == io.read_metadata(path) == {"config": "{}"}
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_tensor_files_have_the_permissions_of_other_files(tmp_path: Path) -> None:
    io.save_tensors(tmp_path / "a", {"t": torch.zeros(1)}, {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("read", [io.load_tensors, io.read_metadata])
@pytest.mark.parametrize("keep", [0, 3, 20, 200])
def test_truncated_tensors_are_refused(read: Callable[[Path], Any], keep: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save_tensors(path, {"t": torch.zeros(1000)}, {"k": "v"})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"a\.safetensors is not a complete safetensors file") as error:
        read(path)
    assert_one_line(error)


HEADERS = {
    "terabytes": '{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}',
    "a size that wraps": '{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}',
    "nothing, of a large side": '{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}',
    "many digits": '{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % ("9" * 400),
    "infinity": '{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}',
    "not a number": '{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}',
    "deep": "[" * 100_000,
    "wrong types": '{"a":{"dtype":7,"shape":"x","data_offsets":{}}}',
    "metadata": '{"__metadata__":{"a":1}}',
    "list": "[]",
}


@pytest.mark.parametrize("read", [io.load_tensors, io.read_metadata])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_tensors_that_does_not_fit_is_refused(
    read: Callable[[Path], Any], name: str, tmp_path: Path
) -> None:
    text, path = HEADERS[name].encode(), tmp_path / "a.safetensors"
    for size in (len(text), 2**63, 2**64 - 1):
        path.write_bytes(size.to_bytes(8, "little") + text + bytes(4))
        with pytest.raises(CheckpointError, match=r"a\.safetensors is not a complete") as error:
            read(path)
        assert_one_line(error)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(CheckpointError, match=r"cannot read .*a\.json \(it is no regular file\)"):
        io.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("read", [io.load_tensors, io.read_metadata, io.sha256_file, io.read_json])
def test_missing_files_and_folders_are_refused(read: Callable[[Path], Any], tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, below_a_file(tmp_path)):
        with pytest.raises(CheckpointError, match="cannot read") as error:
            read(path)
        assert_one_line(error)


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert io.sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_png_and_npz_round_trip(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    io.save_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as opened:
        assert np.array_equal(np.asarray(opened), image)
    io.save_npz(tmp_path / "a.npz", arr_0=image[None], labels=np.arange(3))
    with np.load(tmp_path / "a.npz") as arrays:
        assert np.array_equal(arrays["arr_0"], image[None])
        assert np.array_equal(arrays["labels"], np.arange(3))


def test_png_refuses_floats_and_other_layouts(tmp_path: Path) -> None:
    wrong: list[Any] = [np.zeros((4, 4, 3)), np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4), np.uint8)]
    for image in wrong:
        with pytest.raises(ShapeError, match="needs uint8"):
            io.save_png(tmp_path / "a.png", image)
    assert os.listdir(tmp_path) == []


def test_writable_dir(tmp_path: Path) -> None:
    assert io.ensure_writable_dir(tmp_path / "a" / "b").is_dir()
    assert os.listdir(tmp_path / "a" / "b") == []
    for path in (below_a_file(tmp_path), tmp_path / "plain"):
        with pytest.raises(UsageError, match="cannot write to folder") as error:
            io.ensure_writable_dir(path)
        assert_one_line(error)


def test_uint8_rules() -> None:
    values = torch.tensor([0.0, 0.9999, 1.0, 1.5, -0.5, 100.4 / 255, 100.6 / 255, 37 / 255])
    images = values.repeat(3, 1)[None, :, None]  # 1 3 1 8
    assert io.to_uint8(images, "truncate")[0, 0, :, 1].tolist() == [0, 254, 255, 255, 0, 100, 100, 37]
    assert io.to_uint8(images, "round")[0, 0, :, 2].tolist() == [0, 255, 255, 255, 0, 100, 101, 37]
    assert io.to_uint8(images, "round").shape == (1, 1, 8, 3)
    assert float(images.min()) == -0.5  # the caller's tensor is untouched


def test_uint8_works_in_float32() -> None:
    half = torch.linspace(0, 1, 999, dtype=torch.bfloat16).expand(1, 3, 1, 999)
    assert np.array_equal(io.to_uint8(half, "truncate"), io.to_uint8(half.float(), "truncate"))


def test_uint8_refuses_what_is_not_an_image() -> None:
    with pytest.raises(RunError, match="NaN"):
        io.to_uint8(torch.full((1, 3, 2, 2), float("nan")), "round")
    with pytest.raises(ShapeError, match="expected"):
        io.to_uint8(torch.zeros(1, 2, 2, 3), "round")
    with pytest.raises(UsageError, match="use truncate or round"):
        io.to_uint8(torch.zeros(1, 3, 2, 2), "nearest")


def test_a_path_that_is_not_utf_8_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.safetensors")
    with pytest.raises(UsageError, match=r"\\xff.safetensors' is not valid UTF-8; rename") as error:
        io.ensure_writable_dir(path)
    assert_one_line(error)
    assert not path.exists()
    path.touch()
    with pytest.raises(UsageError, match="is not valid UTF-8") as error:
        io.load_tensors(path)
    assert not isinstance(error.value, CheckpointError)  # which engines answer by making it again
