"""Signals, and stages whose DVC has ended."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.runtime.signals import SIGNALS, HeardSignals, StopRequest, stopping_at_once
from pipeline.training.saved import read_saved
from tests.support.params import ROOT
from tests.support.project import Project

pytestmark = pytest.mark.pipeline  # starts processes

LISTENER = """
import sys, time
sys.path.insert(0, {root!r})
from pipeline.runtime.signals import StopRequest
stop = StopRequest()
with stop.listening():
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
        if stop.received and not sys.stdout.closed:
            print(stop.received, flush=True)
            sys.stdout.close()
"""
# What dvc does: a shell, and in it the stage; the parent is told by its name.
DVC = """
import subprocess, sys, time
child = subprocess.Popen(["sh", "-c", f"{sys.executable} stage.py; true"])
time.sleep(60)
"""
STAGE = """
import signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
def stopped(number, frame):
    Path("stopped").write_text(str(number))
    sys.exit(143)
signal.signal(signal.SIGTERM, stopped)
from pipeline.runtime import dvc_process
dvc_process.POLL_SECONDS = 0.05
dvc_process.end_with_dvc()
Path("running").write_text("")
time.sleep({seconds})
Path("ended").write_text("")
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once(first: signal.Signals, second: signal.Signals) -> None:
    code = LISTENER.format(root=str(ROOT))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == f"{first.value}\n"
        assert process.poll() is None
        process.send_signal(second)
        assert process.wait(10) == 128 + second
        err = process.stderr.read()
    assert "stopping after this step; once more to stop at once, without saving" in err
    assert err.endswith("stopped at once\n")


@pytest.mark.parametrize(
    "numbers",
    [
        # The end of dvc sends SIGTERM; systemd sends SIGHUP after SIGTERM.
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGHUP),
    ],
)
def test_a_closed_terminal_is_no_second_signal(numbers: tuple[signal.Signals, ...]) -> None:
    stop = StopRequest(prints=False)
    with stop.listening():
        for number in numbers:
            os.kill(os.getpid(), number)
    assert stop.received == numbers[0]


@pytest.mark.parametrize(
    ("numbers", "urgent"),
    [
        ((signal.SIGHUP, signal.SIGTERM), False),
        ((signal.SIGHUP, signal.SIGTERM, signal.SIGTERM), True),
        ((signal.SIGINT, signal.SIGHUP), False),
        ((signal.SIGINT, signal.SIGINT), True),
    ],
)
def test_a_launcher_and_its_processes_tell_alike_which_signal_is_urgent(
    numbers: tuple[signal.Signals, ...], urgent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runtime.signals.leave_terminal", lambda: None)
    heard = HeardSignals()
    for number in numbers:
        heard.hear(number)
    assert (heard.first, heard.urgent) == (numbers[0], urgent)


def test_a_process_that_ignores_a_closed_terminal_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopRequest()
    try:
        with stop.listening():
            stop.listen()
            os.kill(os.getpid(), signal.SIGHUP)
        with stopping_at_once():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.received is None


def test_previous_signal_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    stop = StopRequest()
    with stop.listening():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
    assert [signal.getsignal(number) for number in SIGNALS] == before


def wait_for(path: Path, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return path.exists()


def start(
    folder: Path, seconds: float, name: str = "dvc", *, stage: bool = True
) -> subprocess.Popen[bytes]:
    (folder / name).write_text(DVC)
    (folder / "stage.py").write_text(STAGE.format(root=str(ROOT), seconds=seconds))
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    if stage:
        environment["DVC_STAGE"] = "train@2"
    return subprocess.Popen([sys.executable, str(folder / name)], cwd=folder, env=environment)


def test_a_stage_ends_when_its_dvc_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, 30)
    assert wait_for(tmp_path / "running")
    process.kill()
    process.wait()
    assert wait_for(tmp_path / "stopped", 10)
    assert (tmp_path / "stopped").read_text() == str(signal.SIGTERM.value)
    assert not (tmp_path / "ended").exists()


def test_a_stage_stops_if_its_dvc_died_before_the_watch_began(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE.format(root=str(ROOT), seconds=30))
    (tmp_path / "dvc").write_text(
        "import subprocess, sys\n"
        'subprocess.Popen(["sh", "-c", f"sleep 0.5; {sys.executable} stage.py; true"])\n'
    )
    environment = os.environ | {"DVC_STAGE": "train@2"}
    command = [sys.executable, str(tmp_path / "dvc")]
    subprocess.run(command, cwd=tmp_path, env=environment, start_new_session=True, check=True)
    assert wait_for(tmp_path / "stopped")
    assert not (tmp_path / "running").exists()


SAVING = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from pipeline.runtime import dvc_process
from pipeline.runtime.signals import StopRequest
dvc_process.POLL_SECONDS = 0.02
dvc_process.end_with_dvc()
stop = StopRequest(prints=False)
with stop.listening():
    Path("running").write_text("")
    while stop.received is None:
        time.sleep(0.01)
    time.sleep(0.5)  # it saves, and its dvc is gone
Path("saved").write_text("")
"""


def test_a_signal_to_dvc_and_its_stage_together_is_one_signal(tmp_path: Path) -> None:
    (tmp_path / "dvc").write_text(DVC)
    (tmp_path / "stage.py").write_text(SAVING.format(root=str(ROOT)))
    environment = os.environ | {"DVC_STAGE": "train@2"}
    command = [sys.executable, str(tmp_path / "dvc")]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    assert wait_for(tmp_path / "running")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert wait_for(tmp_path / "saved", 10)


@pytest.mark.parametrize(("name", "stage"), [("dvc", True), ("dvc", False), ("make", True)])
def test_a_stage_runs_to_its_end_if_dvc_lives_or_did_not_start_it(
    name: str, stage: bool, tmp_path: Path
) -> None:
    process = start(tmp_path, 0.5, name, stage=stage)
    assert wait_for(tmp_path / "ended")
    assert not (tmp_path / "stopped").exists()
    process.kill()
    process.wait()


@pytest.mark.parametrize("stage", ["train", "evaluate"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_outside_training_says_what_is_kept(
    number: signal.Signals, stage: str, project: Project
) -> None:
    project.trained(0 if stage == "train" else 1)
    before = project.files()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # A background process may have been started with Ctrl-C ignored, and hands that on.
    command = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    holder = {"train": "train_1", "evaluate": "evaluate"}[stage]
    command += f"import sys; sys.argv = ['cassle', '{stage}', '1']; from pipeline.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(project.root / f".scratch/locks/{holder}.holder")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "stopped: all files are whole" in err
    assert "Traceback" not in err
    assert project.files() == before


SWALLOWING = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from pipeline.runtime.signals import stopping_at_once
with stopping_at_once():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    except BaseException:
        pass  # as a library does that tries an import
    time.sleep(30)
"""


def test_a_signal_whose_exception_a_library_swallows_ends_the_process_all_the_same() -> None:
    code = SWALLOWING.format(root=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 128 + signal.SIGTERM
    assert "stopped: all files are whole" in done.stderr


# The leader of a session takes its standard input for the session's terminal.
LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "pipeline", *sys.argv[1:]])
"""


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["before training", "in training"])
def test_a_closed_terminal_saves_and_the_same_command_goes_on(
    seconds: float, project: Project
) -> None:
    project.set({"train.epochs": 200})
    project.trained(0)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["CASSLE_CHECKPOINT_SECONDS"] = "0.2"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER, "train", "1"], env=environment, start_new_session=True,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    wait_for(project.root / ".scratch/locks/train_1.holder")
    saved = list(layout.CHECKPOINTS.rglob("*.safetensors"))
    while seconds and not saved:
        time.sleep(0.05)
        saved = list(layout.CHECKPOINTS.rglob("*.safetensors"))
    os.close(ours)
    assert process.wait(60) == 128 + signal.SIGHUP
    assert bool(list(layout.CHECKPOINTS.rglob("*.safetensors"))) == bool(seconds)
    if seconds:
        (path,) = (path.parent for path in saved)
        assert read_saved(path).step > 0
