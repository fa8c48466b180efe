"""Start-up: what is not imported, and what is set before torch is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.files.sealed_json import write_sealed
from pipeline.runtime import empty_slots
from pipeline.runtime.before_torch import keep_freed_memory
from pipeline.runtime.device import Device
from pipeline.training.fit import skip_nvml_check
from tests.support.params import ROOT

pytestmark = pytest.mark.pipeline  # starts processes


def test_an_empty_slot_ends_before_the_command_line_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sealed(layout.plan("train_7"), None)
    code = "import sys; from pipeline.runtime.empty_slots import finish_if_empty; "
    code += "print(finish_if_empty(['train', '7', '--planned']), 'typer' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "False"], done.stderr
    assert all(path.read_bytes() == b"null\n" for path in layout.train_outputs(7))


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "7"],
        ["train", "-1", "--planned"],
        ["report", "--planned"],
        ["evaluate", "--planned"],
        ["evaluate", "7", "--planned"],
        ["train", "8", "--planned"],
        ["train", "9", "--planned"],
        [],
    ],
)
def test_other_commands_are_left_to_the_command_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sealed(layout.plan("train_7"), None)
    write_sealed(layout.plan("train_8"), {"task": 8})
    assert not empty_slots.finish_if_empty(arguments)
    assert not layout.STATES.exists()


def test_an_empty_slot_that_cannot_be_written_is_left_to_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sealed(layout.plan("train_7"), None)
    layout.STATES.write_text("no folder")
    assert not empty_slots.finish_if_empty(["train", "7", "--planned"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    code = "from pipeline.runtime.before_torch import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_without_glibc_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()


def test_a_cpu_looks_for_no_gpu_through_nvml_in_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    monkeypatch.setenv(name, "1")
    skip_nvml_check(Device.cuda)
    assert os.environ[name] == "1"
    skip_nvml_check(Device.cpu)
    assert name not in os.environ


def test_training_raises_the_garbage_collection_threshold() -> None:
    code = "import gc; from pipeline.runtime.before_torch import before_torch; before_torch(); print(gc.isenabled(), gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True 50000\n"
