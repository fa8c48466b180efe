"""Torch files that others wrote: read as tensors, or refused with nothing executed."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.files.torch_files import read_torch_tensors


def saved(value: object, **how: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **how)  # type: ignore[arg-type]
    return file.getvalue()


WEIGHTS = {"conv1.weight": torch.arange(6.0).reshape(2, 3), "bn1.bias": torch.ones(2)}


class Malicious:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


class Unknown:
    """A class of nobody's library."""


@pytest.mark.parametrize(
    "held",
    [
        WEIGHTS,
        collections.OrderedDict(WEIGHTS),
        {"epoch": torch.tensor(3), "state_dict": WEIGHTS},
        {"model": {"state_dict": WEIGHTS}, "optimizer": {"state": {0: torch.ones(2)}}},
        {"teacher": WEIGHTS, "student": {"conv1.weight": torch.zeros(1)}},
    ],
    ids=["state_dict", "ordered", "checkpoint", "nested", "teacher first"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_tensors_are_found_by_name(held: object, zipped: bool) -> None:
    content = saved(held, _use_new_zipfile_serialization=zipped)
    found = read_torch_tensors(content)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_settings_of_a_training_are_passed_over() -> None:
    settings = argparse.Namespace(method="simclr", folder=Path("here"))
    counts: collections.defaultdict[str, list[int]] = collections.defaultdict(list, a=[1])
    more = [counts, collections.OrderedDict(a=settings), np.float32(3), np.dtype("int64")]
    content = saved({"hyper_parameters": settings, "more": more, "state_dict": WEIGHTS})
    assert read_torch_tensors(content).keys() == WEIGHTS.keys()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("where", ["alone", "beside weights"])
def test_code_in_a_pickle_is_refused_and_not_run(where: str, zipped: bool, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    bad: object = Malicious(trap)
    bad = bad if where == "alone" else {"state_dict": WEIGHTS, "hyper_parameters": bad}
    with pytest.raises(ValueError, match="system"):
        read_torch_tensors(saved(bad, _use_new_zipfile_serialization=zipped))
    with pytest.raises(ValueError, match=r"system|no tensors"):
        read_torch_tensors(pickle.dumps(bad))
    assert not trap.exists()


def test_a_class_that_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"names code to run, .*Unknown, and was not opened"):
        read_torch_tensors(saved({"state_dict": WEIGHTS, "settings": Unknown()}))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"epoch": 3}, "no tensors by name"),
        ([torch.ones(2)], "no tensors by name"),
        ({0: torch.ones(2)}, "no tensors by name"),
    ],
    ids=["no weights", "a list", "numbers for names"],
)
def test_a_file_without_tensors_by_name_is_refused(held: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_torch_tensors(saved(held))


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 not a zip", b"\x80\x02"])
def test_bytes_that_are_no_torch_file_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="torch reads no tensors in it"):
        read_torch_tensors(content)


def test_a_torch_file_that_was_cut_off_is_refused() -> None:
    content = saved(WEIGHTS)
    for end in (10, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match="torch reads no tensors in it"):
            read_torch_tensors(content[:end])
