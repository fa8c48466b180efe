"""Start several processes, and end all of them when one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipeline.distributed import launch
from pipeline.distributed.launch import run_together
from pipeline.distributed.processes import (
    LAUNCHED,
    Launcher,
    Processes,
    read_processes,
    require_planned_count,
)
from pipeline.errors import EXIT_PEER_FAILED, RunError
from tests.support.params import ROOT
from tests.support.project import Project

PARENT = """
import sys
sys.path.insert(0, {root!r})
from pipeline.distributed.launch import run_together
sys.exit(run_together([sys.executable, "-c", {child!r}], 2))
"""
WAITS = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from pipeline.runtime import dvc_process
dvc_process.POLL_SECONDS = 0.05
def stopped(number, frame):
    Path("stopped" + os.environ["RANK"]).write_text(str(number))
    sys.exit(128 + number)
signal.signal(signal.SIGINT, stopped)
signal.signal(signal.SIGTERM, stopped)
dvc_process.end_with_parent(int(os.environ["CASSLE_LAUNCHED"]))
Path("waits" + os.environ["RANK"]).write_text("")
time.sleep(60)
"""


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("TORCHELASTIC_RUN_ID", LAUNCHED, "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    return project


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(*paths: Path) -> None:
    deadline = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, f"{paths} are not there"
        time.sleep(0.05)


def test_each_process_is_told_which_one_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
    code = (
        f"import os; open(os.environ['RANK'], 'w').write(' '.join(os.environ[n] for n in {names}))"
    )
    assert run_together(python(code), 3) == 0
    for rank in range(3):
        assert Path(str(rank)).read_text() == f"{rank} {rank} 0 3 127.0.0.1 3"


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (0, 0, 0),
        (2, EXIT_PEER_FAILED, 2),
        (EXIT_PEER_FAILED, 2, 2),
        (1, EXIT_PEER_FAILED, 1),
        (0, 2, 2),
    ],
)
def test_the_exit_code_is_that_of_the_process_that_gave_the_reason(
    first: int, second: int, code: int
) -> None:
    chosen = f"import os, sys; sys.exit(({first}, {second})[int(os.environ['RANK'])])"
    assert run_together(python(chosen), 2) == code


def test_where_none_says_why_the_command_says_what_they_saw() -> None:
    with pytest.raises(RunError, match=r"none says why it ended \(no message\); run the same"):
        run_together(python(f"import sys; sys.exit({EXIT_PEER_FAILED})"), 2)
    notes = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pipeline.distributed.processes import note_reason, read_processes
note_reason(read_processes(), "NCCL error: unhandled system error")
sys.exit({EXIT_PEER_FAILED})
"""
    with pytest.raises(RunError, match=r"\(NCCL error: unhandled system error\).*NCCL_DEBUG=INFO"):
        run_together(python(notes), 2)


# The first has lost the second, which takes a while to say why.
SAYS_WHY = f"""
import os, sys, time
if os.environ["RANK"] == "0":
    sys.exit({EXIT_PEER_FAILED})
time.sleep(1)
open("said", "w").write("why")
sys.exit(2)
"""
ELASTIC = """
import sys
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, start_processes
command = {{rank: ("-c", {child!r}) for rank in (0, 1)}}
environment = {{rank: {{"RANK": str(rank), "LOCAL_RANK": str(rank)}} for rank in (0, 1)}}
started = start_processes("t", sys.executable, command, environment, DefaultLogsSpecs())
assert started.wait().is_failed()
"""


def test_the_last_word_is_heard_which_the_elastic_launcher_cuts_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(python(ELASTIC.format(child=SAYS_WHY)), check=True, capture_output=True)
    assert not Path("said").exists()
    assert run_together(python(SAYS_WHY), 2) == 2
    assert Path("said").read_text() == "why"


def test_where_one_is_killed_the_others_end_and_one_message_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.2)
    code = "import os, time\nif os.environ['RANK'] == '1': os.kill(os.getpid(), 9)\ntime.sleep(60)"
    started = time.monotonic()
    with pytest.raises(RunError, match="process 1 of 2 was ended by SIGKILL, and the others with"):
        run_together(python(code), 2)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_of_them_once(number: signal.Signals, tmp_path: Path) -> None:
    code = PARENT.format(root=str(ROOT), child=WAITS.format(root=str(ROOT)))
    # As in a terminal: the group of the parent gets the signal.
    with subprocess.Popen(python(code), cwd=tmp_path, start_new_session=True) as parent:
        wait_for(tmp_path / "waits0", tmp_path / "waits1")
        os.killpg(parent.pid, number)
        assert parent.wait(20) == 128 + number
    for rank in range(2):
        assert (tmp_path / f"stopped{rank}").read_text() == str(number.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_processes_that_hear_none(
    number: signal.Signals, tmp_path: Path
) -> None:
    # In a collective or a kernel of a GPU no handler of Python's runs.
    deaf = """
import os, signal, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path("waits" + os.environ["RANK"]).write_text("")
time.sleep(60)
"""
    code = PARENT.format(root=str(ROOT), child=deaf).replace(
        "sys.exit(",
        "from pipeline.distributed import launch\nlaunch.UNHEARD_SECONDS = 0.3\nsys.exit(",
    )
    with subprocess.Popen(
        python(code), cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        wait_for(tmp_path / "waits0", tmp_path / "waits1")
        parent.send_signal(number)
        time.sleep(0.6)
        assert parent.poll() is None
        parent.send_signal(number)
        assert parent.wait(10) == 128 + number
        assert parent.stderr is not None
        assert "stopped at once, also what did not answer" in parent.stderr.read()


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = PARENT.format(root=str(ROOT), child=WAITS.format(root=str(ROOT)))
    with subprocess.Popen(python(code), cwd=tmp_path) as parent:
        wait_for(tmp_path / "waits0", tmp_path / "waits1")
        parent.kill()
        wait_for(tmp_path / "stopped0", tmp_path / "stopped1")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Processes()),
        ({LAUNCHED: "7", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, Processes(1, 1, 2, Launcher.command)),
        ({"TORCHELASTIC_RUN_ID": "none", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, Processes(3, 1, 4, Launcher.torchrun)),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0"}, Processes(2, 0, 4, Launcher.slurm)),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, Processes()),
    ],
)  # fmt: skip
def test_the_environment_says_who_started_this_process(
    environment: dict[str, str],
    expected: Processes,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read_processes() == expected


@pytest.mark.parametrize(
    ("found", "devices", "num_nodes", "message"),
    [
        (Processes(0, 0, 4, Launcher.torchrun), 2, 1, "torchrun runs 4 processes, but train.devices × train.num_nodes is 2 × 1 = 2; start 2, or"),
        (Processes(0, 0, 2, Launcher.slurm), 1, 1, "srun runs 2 processes, but train.devices × train.num_nodes is 1 × 1 = 1"),
        (Processes(), 4, 2, "torchrun --nnodes 2 --nproc-per-node 4 or with srun, or set train.num_nodes: 1"),
    ],
)  # fmt: skip
def test_processes_that_the_params_do_not_say_are_refused(
    found: Processes, devices: int, num_nodes: int, message: str
) -> None:
    with pytest.raises(RunError) as error:
        require_planned_count(found, devices, num_nodes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_another_number_of_processes_is_one_error_of_the_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    for name, value in {
        "TORCHELASTIC_RUN_ID": "none",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        code, _, err = project.cassle("train", "1", "--planned")
        assert code == 2
        assert err.startswith("error: torchrun runs 2 processes, but") is (rank == 0)


def test_several_machines_that_nobody_started_are_refused(project: Project) -> None:
    project.set({"train.num_nodes": 2})
    project.trained(0)
    assert "nobody has started the processes of the other machines" in project.refuses("train", "1")


def command(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, whose children write to the same place."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="there are as many GPUs")
def test_more_devices_than_there_are_gpus_are_one_error(project: Project) -> None:
    project.set({"train.devices": 2})
    project.trained(0)
    before = project.files()
    done = command(project, "train", "1", "--device", "cuda")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert project.files() == before


def test_the_command_trains_in_two_processes(project: Project) -> None:
    project.set({"train.devices": 2})
    project.trained(0)
    done = command(project, "train", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    said = done.stderr.strip().splitlines()
    assert [line.partition("  ")[0] for line in said] == ["task 1", "task 1"], done.stderr
    assert '"processes": 2' in (project.root / "data/logs/task_1.json").read_text()
    assert not list((project.root / ".scratch/checkpoints").iterdir())
