"""A sweep of 24 runs through a real SLURM: are its files those of runs one by one?

    python -m tests.slurm.sweep

Two array tasks run at a time. One job is taken from its node and queued again in the middle; and
one of a sweep of its own is warned, as before the end of its time, so that it saves and queues
itself again. A SLURM of one node does, such as that of Debian's slurm-wlm and munge.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import CommandLine
from tests.support.dvc_repository import IDENTITY, make_repository, run
from tests.support.params import Changes, with_changes

STRATEGIES = ("finetune", "cassle", "er", "der", "lump", "pfr")
SEEDS = (0, 1, 2, 3)
CHEAP: Changes = {"evaluation.probes": ["knn"], "evaluation.headline": "knn"}
LONG = 60  # epochs of the run that is warned
SLURM = "slurm: {time: 60, at_once: 2}\n"
TABLE = f"grid: {{strategy: [{', '.join(STRATEGIES)}]}}\nseeds: {list(SEEDS)}\n{SLURM}"
WARNED = f"list: [{{train.epochs: {LONG}}}]\n{SLURM}"
LIMIT_SECONDS = 7200
MEASURED = ("data/logs/", "reports/")  # seconds are in all but the tables


def sweep(root: Path, *arguments: str) -> str:
    return run(root, sys.executable, "-m", "pipeline", "sweep", *arguments)


def log_of(root: Path, sweep: str, job: str) -> str:
    path = root / ".scratch" / "sweeps" / sweep / "jobs" / job / "log.txt"
    return path.read_text() if path.exists() else ""


def slurm_id(root: Path, sweep: str, job: str) -> str:
    return (root / f".scratch/sweeps/{sweep}/jobs/{job}/slurm_id").read_text().strip()


def wait(what: str, ready: Callable[[], object]) -> None:
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < LIMIT_SECONDS, what
        time.sleep(2)
    print(f"{what} after {time.monotonic() - began:.0f} s", flush=True)


def hurry(root: Path, identity: str) -> None:
    """Have a job that was queued again start at once: SLURM lets it wait for two minutes."""
    wait(
        f"{identity} is in the queue again",
        lambda: "PENDING" in run(root, "squeue", "-h", "-j", identity, "-o", "%T"),
    )
    run(root, "scontrol", "update", f"jobid={identity}", "StartTime=now")


def is_done(root: Path) -> bool:
    return not run(root, "squeue", "--me", "-h", "-o", "%T").strip()


def kept(root: Path, name: str) -> dict[str, str]:
    """Return the MD5 of each output of an experiment that holds no measured seconds."""
    listed = run(root, "git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    commits = {line.rpartition("/")[2]: line.split()[0] for line in listed.splitlines()}
    lock = yaml.safe_load(run(root, "git", "show", f"{commits[name]}:dvc.lock"))
    outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
    return {
        out["path"]: out["md5"]
        for out in outs
        if out["path"] != "data/plan" and not _is_measured(out["path"])
    } | {"metrics": run(root, "git", "show", f"{commits[name]}:reports/metrics.json")}


def _is_measured(path: str) -> bool:
    return path.startswith(MEASURED) and not path.endswith(".csv")


def one_by_one(root: Path, place: Path, changes: Changes) -> dict[str, str]:
    """Return the same of a run in this process, without DVC and SLURM."""
    ignored = shutil.ignore_patterns(".git", ".dvc", ".scratch")
    shutil.copytree(root, place, ignore=ignored)
    params = place / "params.yaml"
    params.write_text(with_changes(params.read_text(), changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        line = CommandLine(patch, None)
        for command in ("plan", "prepare", "init", "train 1", "train 2", "evaluate", "report"):
            line.must(*command.split())
    paths = [
        p.relative_to(place) for part in ("data", "reports") for p in place.glob(f"{part}/**/*")
    ]
    found = {
        str(path): hashlib.md5((place / path).read_bytes()).hexdigest()
        for path in paths
        if (place / path).is_file() and not _is_measured(str(path))
    }
    return found | {"metrics": (place / "reports/metrics.json").read_text()}


def differ(ours: dict[str, str], alone: dict[str, str]) -> list[str]:
    assert len(ours) >= 15, ours
    return [path for path, digest in ours.items() if digest != alone.get(path)]


def follow_table(root: Path, began: float) -> None:
    """Take the last of the 24 from its node, and wait for all."""
    name = f"strategy={STRATEGIES[-1]},seed={SEEDS[-1]}"
    wait(f"{name} trains its second task", lambda: "'train@2'" in log_of(root, "table", name))
    identity = slurm_id(root, "table", name)
    run(root, "scontrol", "requeue", identity)
    hurry(root, identity)
    wait("all have ended", lambda: is_done(root))
    print(sweep(root, "status"), f"{(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    assert log_of(root, "table", name).count("\n-- ") + 1 == 2, "it began twice"
    said = sweep(root, "table.yaml", "--slurm")
    assert "24 runs: 24 done" in said, said
    assert "job " not in said, said


def warn_one(root: Path) -> None:
    """Warn the run of a sweep of its own in the middle of its second task, and wait for it."""
    name = f"train.epochs={LONG}"
    wait("it trains", lambda: "task 2  epoch " in log_of(root, "warned", name))
    identity = slurm_id(root, "warned", name)
    run(root, "scancel", "--signal=USR2", identity)
    hurry(root, identity)
    wait("it has ended", lambda: "1 runs: 1 done" in sweep(root, "status", "warned.yaml"))
    log = log_of(root, "warned", name)
    assert "task 2 goes on after step" in log, log


def main() -> None:
    """Run both ways; exit with 1 if a file differs."""
    if shutil.which("sbatch") is None or subprocess.run(["sinfo"], capture_output=True).returncode:
        print("skipped: there is no SLURM here, or it does not answer (sinfo)")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "slurm"
        make_repository(root, CHEAP)
        (root / "table.yaml").write_text(TABLE)
        (root / "warned.yaml").write_text(WARNED)
        run(root, sys.executable, "-m", "pipeline", "slots", "2")
        run(root, "git", *IDENTITY, "commit", "--quiet", "--all", "-m", "Two slots")
        began = time.monotonic()
        for name in ("warned", "table"):
            print(sweep(root, f"{name}.yaml", "--slurm"), flush=True)
        try:
            warn_one(root)
            follow_table(root, began)
        finally:
            identities = [
                path.read_text() for path in root.glob(".scratch/sweeps/*/jobs/*/slurm_id")
            ]
            subprocess.run(["scancel", *identities], capture_output=True)
            wait("none is left", lambda: is_done(root))
        wrong: dict[str, list[str]] = {}
        trained = files = 0
        for path in (root / ".scratch/sweeps/table/jobs").glob("*/log.txt"):
            trained += path.read_text().count("Running stage 'train_first'")
        grid: dict[str, Changes] = {
            f"strategy={strategy},seed={seed}": {"strategy": strategy, "seed": seed}
            for strategy in STRATEGIES
            for seed in SEEDS
        }
        grid[f"train.epochs={LONG}"] = {"train.epochs": LONG}
        for number, (name, changes) in enumerate(grid.items()):
            ours = kept(root, name)
            files += len(ours)
            if found := differ(ours, one_by_one(root, Path(folder) / f"alone-{number}", changes)):
                wrong[name] = found
        compared = run(root, sys.executable, "-m", "pipeline", "compare")
    print(compared)
    print(
        f"{len(grid)} runs, {files} files compared with those of runs one by one: {len(wrong)} runs "
        f"differ {json.dumps(wrong)}; {trained} first tasks trained for {len(SEEDS)} seeds"
    )
    sys.exit(bool(wrong) or trained != len(SEEDS))


if __name__ == "__main__":
    main()
