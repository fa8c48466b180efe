"""Files of tensors: what is read is what was written, byte for byte, or one clear error."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.errors import DataError, RunError, StateError
from pipeline.files.sealed_json import Json, read_sealed, unseal
from pipeline.files.tensors import read_arrays, read_tensors, write_tensors

ORIGIN: Json = {"task": 1, "plan": "ab" * 32, "backbone": {"widths": [4, 8], "stem": "conv3"}}
REMEDY = "run `cassle train 1` first"


def tensors() -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 2, 2, generator=stream)
    return {
        "method.kernel": kernel.to(memory_format=torch.channels_last),
        "method.transposed": torch.randn(3, 5, generator=stream).T,
        "method.half": torch.randn(7, generator=stream).bfloat16(),
        "method.odd": torch.tensor([float("nan"), float("inf"), -0.0]),
        "method.empty": torch.zeros(0, 3),
        "strategy.count": torch.tensor(3),
        "strategy.scalar": torch.tensor(0.1, dtype=torch.float64),
        "strategy.mask": torch.tensor([True, False]),
    }


def saved(folder: Path) -> Path:
    path = folder / "task_1.safetensors"
    write_tensors(path, tensors(), ORIGIN)
    return path


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    held, _ = read_tensors(saved(tmp_path), StateError, REMEDY)
    assert held.keys() == tensors().keys()
    for name, tensor in tensors().items():
        found = held[name]
        assert found.dtype == tensor.dtype
        assert found.shape == tensor.shape
        assert bits(found) == bits(tensor)


def test_trained_parameters_are_saved_with_their_values_and_without_their_gradient(
    tmp_path: Path,
) -> None:
    parameter = nn.Parameter(torch.ones(2))
    write_tensors(tmp_path / "state", {"method.a": parameter, "method.b": parameter}, {})
    held, _ = read_tensors(tmp_path / "state", StateError, REMEDY)
    for name in ("a", "b"):
        assert torch.equal(held[f"method.{name}"], torch.ones(2))
        assert not held[f"method.{name}"].requires_grad


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_tensors(first, tensors(), ORIGIN)
    reordered = dict(reversed(tensors().items()))
    reordered["method.kernel"] = reordered["method.kernel"].contiguous()
    write_tensors(second, reordered, dict(reversed(ORIGIN.items())))
    assert first.read_bytes() == second.read_bytes()
    assert (
        read_tensors(first, StateError, REMEDY)[1]["content"]
        == read_tensors(second, StateError, REMEDY)[1]["content"]
    )


def test_the_content_does_not_depend_on_the_origin_but_on_every_tensor(tmp_path: Path) -> None:
    def content(held: dict[str, Tensor], origin: Json) -> str:
        write_tensors(tmp_path / "state", held, origin)
        return read_tensors(tmp_path / "state", StateError, REMEDY)[1]["content"]

    whole = content(tensors(), ORIGIN)
    assert content(tensors(), ORIGIN | {"task": 2}) == whole
    assert content(tensors() | {"strategy.count": torch.tensor(4)}, ORIGIN) != whole
    assert content(tensors() | {"method.empty": torch.zeros(3, 0)}, ORIGIN) != whole


def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "task_1.safetensors"
    with pytest.raises(StateError) as caught:
        read_tensors(path, StateError, REMEDY)
    assert str(caught.value) == f"{path} is missing; {REMEDY}"


@pytest.mark.parametrize("share", [0, 0.001, 0.006, 0.01, 0.2, 0.5, 0.7, 0.9, 0.99, 1])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: min(int(share * len(content)), len(content) - 1)])
    with pytest.raises(
        StateError, match=r"task_1\.safetensors is damaged or was not written by this version"
    ):
        read_tensors(path, StateError, REMEDY)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_one_changed_byte_is_noticed_wherever_it_is(mask: int, tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    in_header = range(0, header, header // 30)
    in_tensors = range(header, len(content), (len(content) - header) // 30)
    assert len(in_header) >= 30
    assert len(in_tensors) >= 30
    for position in (*in_header, *in_tensors):
        damaged = bytearray(content)
        damaged[position] ^= mask
        path.write_bytes(damaged)
        with pytest.raises(StateError, match=r"task_1\.safetensors"):
            read_tensors(path, StateError, REMEDY)


@pytest.mark.parametrize("header", [None, {}, {"cassle": '{"format": 2}'}, {"cassle": "{"}])
def test_a_safetensors_file_without_our_header_is_refused(
    header: dict[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path, header)
    with pytest.raises(StateError, match=r"other\.safetensors"):
        read_tensors(path, StateError, REMEDY)


@pytest.mark.parametrize("header", ["null", "[]", "3"])
def test_a_header_that_is_no_object_is_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path, {"cassle": header})
    with pytest.raises(StateError, match=r"other\.safetensors"):
        read_tensors(path, StateError, REMEDY)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    null, pickle, folder = tmp_path / "null", tmp_path / "pickle", tmp_path / "folder"
    null.write_text("null\n")
    torch.save(tensors(), pickle)
    folder.mkdir()
    for path in (null, pickle, folder):
        with pytest.raises(StateError) as caught:
            read_tensors(path, StateError, REMEDY)
        assert str(caught.value).startswith(f"{path} is damaged or was not written by this version")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_named_as_a_state_is_refused_and_never_runs(kind: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "task_1.safetensors", tmp_path / "it_ran"
    if kind == "torch":
        torch.save({"method.a": Trap(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(mark)))
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists(), "the trap works"
    mark.unlink()
    readers = {
        StateError: lambda: read_tensors(path, StateError, REMEDY),
        RunError: lambda: read_arrays(path, RunError, REMEDY),
        DataError: lambda: read_sealed(path, DataError, REMEDY),
    }
    for error, read in readers.items():
        with pytest.raises(error, match=r"task_1\.safetensors is damaged or was"):
            read()
    assert not mark.exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(RunError, match=f"cannot write {path}: No space left on device"):
        write_tensors(path, {"method.a": torch.zeros(9)}, ORIGIN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_tensors(path, {"method.a": torch.zeros(9)}, ORIGIN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_header_says_where_the_state_comes_from(tmp_path: Path) -> None:
    content = saved(tmp_path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["cassle"])
    assert header["content"] == read_tensors(saved(tmp_path), StateError, REMEDY)[1]["content"]
    assert unseal(header) == {"format": 2, "content": header["content"], **ORIGIN}
