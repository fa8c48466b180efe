"""Sweeps on this machine: what runs, what is kept, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import layout
from pipeline.commands.sweeps.bookkeeping import (
    Outcome,
    Sweep,
    hold_job,
    is_held,
    job_folder,
    read_outcome,
    write_outcome,
    write_slurm_id,
    write_sweep,
)
from pipeline.commands.sweeps.jobs import Job
from pipeline.commands.sweeps.local import list_places, run_locally
from pipeline.commands.sweeps.processes import JobProcesses
from pipeline.commands.sweeps.run_job import RACE, run_job
from pipeline.commands.sweeps.states import Stand, list_states
from pipeline.errors import RunError
from pipeline.files.append import read_tail
from tests.support.params import SMALL, write_params
from tests.support.sweep_repository import SweepRepository

SWEEP = "grid: {strategy: [finetune, er]}\nseeds: [0]\n"
FINETUNE, ER = "strategy=finetune,seed=0", "strategy=er,seed=0"


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> SweepRepository:
    return SweepRepository(tmp_path, monkeypatch, capsys)


@pytest.mark.pipeline
def test_a_sweep_shares_first_tasks_keeps_experiments_and_goes_on_with_what_failed(
    repository: SweepRepository,
) -> None:
    (repository.root / "sweep.yaml").write_text(SWEEP)
    printed = repository.must("sweep", "sweep.yaml", "--print").splitlines()
    assert printed == [
        f"dvc exp run --name {name} -S strategy={strategy} -S seed=0"
        for name, strategy in ((FINETUNE, "finetune"), (ER, "er"))
    ]
    asked = repository.must("sweep", "sweep.yaml")
    assert "2 runs: 2 to do; first tasks that runs share: 0 of 1 done" in asked
    assert not repository.trace.exists()

    code, out, err = repository.cassle("sweep", "sweep.yaml", "--local", "2")
    assert code == 2, out
    assert f"/2 {ER}: failed after" in out
    assert "2 runs: 1 done, 1 failed" in err
    assert repository.experiments() == [FINETUNE]
    shared = f"first {repository.root}\n"
    assert repository.trace.read_text() == shared, "once, and it knows where checkpoints lie"
    shown = repository.must("sweep", "status")
    assert f"failed   {ER}  no memory left" in shown
    assert not list((repository.root / layout.SWEEPS).rglob("checkout"))

    repository.mended.write_text("")
    said = repository.must("sweep", "sweep.yaml", "--local", "1")
    assert f"1/1 {ER}: done after" in said
    assert sorted(repository.experiments()) == sorted([FINETUNE, ER])
    assert repository.trace.read_text() == shared
    kept = repository.git("for-each-ref", "--format=%(objectname)", "refs/exps").split()
    params = [repository.git("show", f"{commit}:second.txt") for commit in kept]
    assert {"strategy: er" in text for text in params} == {True, False}
    assert repository.git("status", "--porcelain") == "?? sweep.yaml", "nothing here was touched"
    assert "2 runs: 2 done" in repository.must("sweep", "sweep.yaml", "--local", "1")


@pytest.mark.pipeline
def test_ctrl_c_stops_a_sweep_and_says_what_is_left(repository: SweepRepository) -> None:
    (repository.root / "sweep.yaml").write_text("seeds: [9, 10]\n")
    log = job_folder(layout.SWEEPS / "sweep", "seed=9") / "log.txt"

    def interrupt() -> None:
        while "training" not in read_tail(log):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    code, out, err = repository.cassle("sweep", "sweep.yaml", "--local", "1")
    assert code == 128 + signal.SIGINT
    assert "the sweep was stopped; the same command goes on with what is missing" in err
    assert "seed=9: stopped after" in out
    shown = repository.must("sweep", "status", "sweep.yaml")
    assert "2 runs: 1 stopped, 1 to do" in shown
    assert subprocess.run(["pgrep", "-f", "sleep 60.0625"], capture_output=True).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.yaml"], "none.yaml is missing; name the file of a sweep"),
        (["sweep.yaml", "--print", "--slurm"], "--print, --local and --slurm exclude each other"),
        (["status"], "no sweep was started here; start one: cassle sweep FILE --local 2"),
        (["status", "sweep.yaml"], "sweep.yaml was not started here"),
    ],
)
def test_a_wrong_command_is_refused(
    repository: SweepRepository, arguments: list[str], problem: str
) -> None:
    (repository.root / "sweep.yaml").write_text(SWEEP)
    code, _, err = repository.cassle("sweep", *arguments)
    assert code == 2
    assert problem in err
    assert "Traceback" not in err


def test_what_is_not_committed_is_refused(repository: SweepRepository) -> None:
    (repository.root / "sweep.yaml").write_text("seeds: [0]\n")
    (repository.root / "pipeline").mkdir()
    (repository.root / "pipeline/mine.py").write_text("")
    code, _, err = repository.cassle("sweep", "sweep.yaml", "--local", "1")
    assert code == 2
    assert "not committed: pipeline/; runs of a sweep start from a commit: commit it" in err
    (repository.root / "pipeline/mine.py").unlink()
    (repository.root / ".gitignore").write_text("images\n")
    repository.git("rm", "-r", "--quiet", "--cached", "images")
    repository.commit()
    code, _, err = repository.cassle("sweep", "sweep.yaml", "--local", "1")
    assert code == 2
    assert "the images in images: the folder is ignored by git, so a checkout lacks it" in err
    # What loaders fetch is found from a checkout, one's own folder beside that is not.
    (repository.root / "data").mkdir()
    (repository.root / "images").rename(repository.root / "data/raw")
    write_params(repository.root, {**SMALL, "num_tasks": 2, "data.root": "data/raw/mine"})
    (repository.root / ".gitignore").write_text("raw\n")
    (repository.root / "data/raw/mine").mkdir()
    repository.commit()
    code, _, err = repository.cassle("sweep", "sweep.yaml", "--local", "1")
    assert code == 2
    assert "the images in data/raw/mine: the folder is ignored by git" in err


def test_folders_beside_the_root_and_presets_have_to_be_committed(
    repository: SweepRepository,
) -> None:
    (repository.root / "sweep.yaml").write_text("presets: [small]\nseeds: [0]\n")
    (repository.root / "presets").mkdir()
    preset = repository.root / "presets/small.yaml"
    preset.write_text("# Small.\nevaluation:\n  transfer: [cars]\n")
    (repository.root / "cars").mkdir()
    _, _, err = repository.cassle("sweep", "sweep.yaml")
    assert (
        f"the images in cars: the folder is not tracked by git, so a checkout lacks it; name it by its absolute path, {repository.root / 'cars'}"
        in err
    )
    (repository.root / "cars/one").write_text("1")
    repository.commit()
    preset.write_text("# Small.\nevaluation:\n  transfer: [cars]\ntrain:\n  epochs: 3\n")
    assert "not committed: presets/small.yaml;" in repository.cassle("sweep", "sweep.yaml")[2]
    preset.write_text("# Small.\nevaluation:\n  transfer: [more/cars]\n")
    (repository.root / "more/cars").mkdir(parents=True)
    (repository.root / "more.dvc").write_text("outs: [{path: more}]\n")
    (repository.root / ".gitignore").write_text(".scratch/\n/more\n")
    repository.git("add", "presets", ".gitignore")
    repository.git("commit", "--quiet", "-m", "Change")
    assert "not committed: more.dvc;" in repository.cassle("sweep", "sweep.yaml")[2]
    repository.commit()
    repository.must("sweep", "sweep.yaml")


def test_two_files_of_one_name_do_not_share_a_sweep(repository: SweepRepository) -> None:
    for folder in ("a", "b"):
        (repository.root / folder).mkdir()
        (repository.root / folder / "table.yaml").write_text("seeds: [0]\n")
    write_sweep(Sweep("a/table.yaml", "c" * 40, ()))
    repository.must("sweep", "./a/table.yaml")
    code, _, err = repository.cassle("sweep", "b/table.yaml")
    assert code == 2
    assert "b/table.yaml and a/table.yaml have the same name" in err
    assert (
        "b/table.yaml was not started here"
        in repository.cassle("sweep", "status", "b/table.yaml")[2]
    )
    (repository.root / "a/table.yaml").unlink()
    repository.must("sweep", "b/table.yaml")


def test_without_slurm_or_submitit_it_is_said(
    repository: SweepRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.root / "sweep.yaml").write_text(SWEEP)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (
        "pip install 'cassle-pipeline[slurm]'"
        in repository.cassle("sweep", "sweep.yaml", "--slurm")[2]
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert (
        "sbatch and srun, which are not here"
        in repository.cassle("sweep", "sweep.yaml", "--slurm")[2]
    )


NAMES = ["kept", "running", "waiting", "again", "failed", "lost", "stopped", "killed", "new"]


@pytest.fixture
def sweep(repository: SweepRepository, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A sweep whose runs stand in all ways, and a SLURM that is made up."""
    base = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/kept", base)
    found = Sweep("table.yaml", base, tuple(Job(name, (), base) for name in NAMES))
    write_sweep(found)
    for number, name in enumerate(NAMES[1:6]):
        write_slurm_id(job_folder(found.folder, name), f"7_{number}")
    for name in ("running", "again", "lost", "killed"):
        folder = job_folder(found.folder, name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.txt").write_text(f"-- began\nepoch 3\rof {name}\n\n")
    write_outcome(job_folder(found.folder, "failed"), Outcome("failed", 3.0, "no memory\nleft"))
    write_outcome(job_folder(found.folder, "stopped"), Outcome("stopped", 3.0))
    (job_folder(found.folder, "stopped") / "log.txt").write_text("stopped\n")
    (found.folder / "slurm").mkdir()
    (found.folder / "slurm/7_4_0_log.err").write_text("slurmstepd: error: out of memory\n")
    told = "7|0|RUNNING|None\n7|1|PENDING|Priority\n7|2|PENDING|BeginTime\n9|N/A|RUNNING|None"
    squeue = repository.root.parent / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho '{told}'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    return found


def test_status_says_where_each_run_stands_and_why(
    repository: SweepRepository, sweep: Sweep
) -> None:
    assert {state.job.name: state.stand for state in list_states(sweep)} == {
        "kept": Stand.done,
        "running": Stand.running,
        "waiting": Stand.waiting,
        "again": Stand.waiting,
        "failed": Stand.failed,
        "lost": Stand.failed,
        "stopped": Stand.stopped,
        "killed": Stand.stopped,
        "new": Stand.missing,
    }
    lines = repository.must("sweep", "status", "table").splitlines()
    assert lines[1] == "  9 runs: 1 done, 1 running, 2 waiting, 2 failed, 2 stopped, 1 to do"
    assert "  running  running  of running" in lines
    assert "  waiting  waiting  SLURM's job 7 (Priority)" in lines
    assert "  waiting  again  to go on where it was: SLURM's job 7 (BeginTime)" in lines
    assert lines[lines.index("  failed   failed  no memory") + 1].strip() == "left"
    at = lines.index("  failed   lost  SLURM's job 7_4 has ended without a word")
    assert [line.strip() for line in lines[at + 1 : at + 3]] == [
        "slurmstepd: error: out of memory",
        "of lost",
    ]


def test_a_run_counts_as_running_while_a_process_that_it_started_lives(
    repository: SweepRepository, sweep: Sweep
) -> None:
    folder = job_folder(sweep.folder, "new")
    with hold_job(folder) as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
        assert is_held(folder)
    assert is_held(folder)
    child.kill()
    child.wait()
    assert not is_held(folder)


def test_a_job_begins_though_somebody_looks_at_it_at_that_moment(sweep: Sweep) -> None:
    folder = job_folder(sweep.folder, "new")
    looking = threading.Event()

    def look() -> None:
        with hold_job(folder):
            looking.set()
            time.sleep(0.05)

    threading.Thread(target=look, daemon=True).start()
    assert looking.wait(10)
    assert is_held(folder), "at once"
    with hold_job(folder):
        pass


def test_runs_that_are_added_wait_for_a_shared_task_that_was_queued_again(
    repository: SweepRepository, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    (repository.root / "sweep.yaml").write_text(SWEEP)
    asked: list[dict[str, object]] = []

    class Executor:
        def __init__(self, folder: Path, **options: object) -> None:
            pass

        def update_parameters(self, **options: object) -> None:
            asked.append(options)

        def map_array(self, task: object, jobs: Sequence[Job]) -> list[SimpleNamespace]:
            return [SimpleNamespace(job_id=f"8{len(asked)}_{n}") for n in range(len(jobs))]

    monkeypatch.setattr("submitit.AutoExecutor", Executor)
    monkeypatch.setattr("pipeline.commands.sweeps.start.require_slurm", lambda: None)
    assert "job 81: 1 first tasks" in repository.must("sweep", "sweep.yaml", "--slurm")
    assert [options.get("slurm_dependency") for options in asked] == [None, "afterany:81"]
    # It is in the queue that is made up, stopped before; one run waits, the other is given again.
    [first] = Path(layout.SWEEPS / "sweep/jobs").glob("first-*")
    write_slurm_id(first, "7_1")
    write_outcome(first, Outcome("stopped", 3.0))
    write_slurm_id(first.parent / ER, "7_2")
    assert "job 83: 1 runs" in repository.must("sweep", "sweep.yaml", "--slurm")
    assert [options.get("slurm_dependency") for options in asked[2:]] == ["afterany:7"]


def test_an_error_of_the_sweep_itself_stops_its_jobs(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = []

    def run(job: Job, folder: Path, processes: JobProcesses, place: object) -> Outcome:
        began.append(job.name)
        while len(began) > 1 and not processes.stopped:
            time.sleep(0.001)
        return Outcome("stopped", 0.0)

    def tell(job: Job, outcome: Outcome | None) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("pipeline.commands.sweeps.local.run_job", run)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(BrokenPipeError):
        run_locally(sweep.jobs, sweep.folder, 1, tell)
    assert len(began) <= 2, "the first one, and the next, which was stopped"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("error", "stops", "outcome"),
    [
        (RunError("git clone: killed"), False, ("failed", "git clone: killed")),
        (RunError("git clone: killed"), True, ("stopped", "")),
        (OSError(28, "No space left"), False, ("failed", "[Errno 28] No space left")),
        (KeyError("dir"), True, ("failed", "KeyError: 'dir'")),
    ],
)
def test_a_job_that_cannot_go_on_says_why_unless_it_was_stopped(
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    stops: bool,
    outcome: tuple[str, str],
) -> None:
    processes = JobProcesses()

    def fail(folder: Path, baseline: str) -> Path:
        if stops:
            processes.stop()
        raise error

    monkeypatch.setattr("pipeline.commands.sweeps.run_job.make_checkout", fail)
    ended = run_job(sweep.jobs[-1], sweep.folder, processes)
    assert (ended.state, ended.reason) == outcome
    assert read_outcome(job_folder(sweep.folder, sweep.jobs[-1].name)) == ended


def test_runs_at_a_time_share_threads_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert list_places(1) == [{}]
    threads = {"OMP_NUM_THREADS": "2"}
    assert list_places(3) == [
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "5", "4")
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    assert list_places(4) == [threads] * 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert list_places(2) == [{}, {}]


def test_the_fault_of_dvc_that_passes_is_told_from_others() -> None:
    gone = "[Errno 2] No such file or directory"
    assert RACE.search(f"ERROR: {gone}: '/x/.dvc/cache/runs/ab/abcd/ef' -> '/x'")
    assert not RACE.search(f"ERROR: {gone}: 'data/runs.csv'")
