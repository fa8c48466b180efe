"""Kill stages at random moments and begin them again: do they end in the same files?

    python -m tests.torture.stages --kills 200

For each configuration a small project is run once in peace and once with signals at moments
that are random over each stage's measured duration; after each the same command is given
again. At the end every file must be the same, byte for byte, but for measured seconds. Stages begin
with torch imported, see ``tests.support.warm_python``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline import layout
from tests.support.params import ROOT, SMALL, Changes, write_params
from tests.support.project import make_data
from tests.support.warm_python import run_server

CONFIGS: dict[str, Changes] = {
    "finetune": {"strategy": "finetune"},
    "cassle": {},
    "er": {"strategy": "er"},
    "mocov2plus": {"method": "mocov2plus", "methods.mocov2plus.queue_size": 40},
}
# Long enough for most kills to meet training.
LONGER = {"train.epochs": 60}
RESUMED = "goes on after step"
TRIES = 20  # a stage ends before its kill about every second time at most
STAGES = ["plan", "prepare", "init", "train 1", "train 2", "train 3"]
STAGES += ["evaluate", "report"]
# Of the kills of a configuration; training is where most can go wrong.
SHARES = {
    "prepare": 1,
    "init": 1,
    "train 1": 4,
    "train 2": 4,
    "train 3": 3,
    "evaluate": 1,
    "report": 1,
}


@dataclass
class Trial:
    """One configuration: its stages in peace, and how many of them were killed and where."""

    name: str
    peace: Path
    killed: Path
    kills: int = 0
    resumed: int = 0


def make_project(root: Path, changes: Changes) -> None:
    """Write a project of a few images."""
    make_data(root / "data/fashion_mnist")
    write_params(root, {**SMALL, **LONGER, **changes})


def start(stage: str, root: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CASSLE_CHECKPOINT_SECONDS": "0"}
    return subprocess.Popen(
        ["python", "-m", "pipeline", *stage.split()],
        cwd=root,
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(stage: str, root: Path) -> str:
    """Run a stage to its end, which has to be a good one; return its output."""
    process = start(stage, root)
    output, _ = process.communicate()
    assert process.returncode == 0, f"{stage} ended with {process.returncode}:\n{output}"
    return output


def finish_report(root: Path) -> None:
    """Write the tables and the page."""
    finish("report", root)


def kill_at_random(stage: str, trial: Trial, seconds: float, chance: random.Random) -> None:
    """Begin a stage and kill it, or hang up; where it ended before that, begin it anew.

    Half of the kills of a training are random over the time in which it trains, since it begins
    with imports.
    """
    trains = stage.startswith("train") and chance.random() < 0.5
    for _ in range(TRIES):
        before = last_save(trial.killed)
        process = start(stage, trial.killed)
        moment = chance.uniform(0, seconds)
        if trains:
            timing = trial.peace / layout.timing(int(stage.split()[1]))
            moment = chance.uniform(0, json.loads(timing.read_text())["seconds"])
            # What an earlier process saved is there from the start, and says nothing of this one.
            while process.poll() is None and last_save(trial.killed) in (before, None):
                time.sleep(0.01)
        try:
            output, _ = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            # Every fourth as a closed terminal does, which has training saved.
            number = signal.SIGHUP if trial.kills % 4 == 3 else signal.SIGKILL
            process.send_signal(number)
            output, _ = process.communicate()
            assert process.returncode in (0, -number, 128 + number), output
            trial.kills += 1
            trial.resumed += RESUMED in output
            since = "of training" if trains else f"of {seconds:.1f} s"
            print(
                f"{trial.name:12} {stage:10} {number.name} after {moment:5.1f} s {since}",
                flush=True,
            )
            return
        assert process.returncode == 0, f"{stage} ended with {process.returncode}:\n{output}"
        # The checkpoint at a task's end stays: with it, the stage would have nothing left to train.
        shutil.rmtree(trial.killed / layout.CHECKPOINTS, ignore_errors=True)
    raise AssertionError(f"{stage} ended before it was killed, {TRIES} times")


def last_save(root: Path) -> int | None:
    """Return when a training was last saved, in nanoseconds; None where nothing is."""
    times = []
    for path in (root / layout.CHECKPOINTS).rglob("*.safetensors"):
        # It may go while one looks: the task has ended.
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime_ns)
    return max(times, default=None)


def files(root: Path) -> dict[str, bytes]:
    """Every file that stages leave; measured seconds and the seals over them left out.

    Of a checkpoint, which stays until the next stage begins and holds seconds, only that it is there.
    """
    found = {}
    for folder in (layout.STATES.parent, layout.REPORTS, layout.CHECKPOINTS):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(root))] = path.read_bytes()
    for name in found:
        if name.startswith(str(layout.CHECKPOINTS)):
            found[name] = b""
        if name.startswith(str(layout.LOGS)) and name.endswith(".json"):
            timing = json.loads(found[name]) or {}
            kept = {k: v for k, v in timing.items() if "seconds" not in k and k != "sha256"}
            found[name] = json.dumps(kept).encode()
    return found


def differences(trial: Trial) -> list[str]:
    """Return the files that are not the same in both runs.

    The tables hold measured seconds, so both are reported once more from one run's timings.
    """
    reports = f"{layout.REPORTS}{os.sep}"
    ours, theirs = files(trial.killed), files(trial.peace)
    names = {name for name in ours.keys() | theirs.keys() if not name.startswith(reports)}
    found = [name for name in sorted(names) if ours.get(name) != theirs.get(name)]
    shutil.copytree(trial.peace / layout.LOGS, trial.killed / layout.LOGS, dirs_exist_ok=True)
    for root in (trial.peace, trial.killed):
        finish_report(root)
    ours, theirs = files(trial.killed), files(trial.peace)
    names = ours.keys() | theirs.keys()
    return found + [name for name in sorted(names) if ours.get(name) != theirs.get(name)]


def run_trial(name: str, folder: Path, kills: int, seed: int, shares: dict[str, int]) -> list[str]:
    """Run a configuration in peace and under kills; return the files that differ."""
    trial = Trial(name, folder / name / "peace", folder / name / "killed")
    chance = random.Random(f"{seed} {name}")
    many = chance.choices(list(shares), list(shares.values()), k=kills - len(shares))
    wanted = [*shares, *many][:kills]
    for root in (trial.peace, trial.killed):
        make_project(root, CONFIGS[name])
    for stage in STAGES:
        began = time.monotonic()
        finish(stage, trial.peace)
        seconds = time.monotonic() - began
        for _ in range(wanted.count(stage)):
            kill_at_random(stage, trial, seconds, chance)
        trial.resumed += RESUMED in finish(stage, trial.killed)
    found = differences(trial)
    print(
        f"{name}: {trial.kills} kills, {trial.resumed} times training went on from a checkpoint, "
        f"{len(found)} files differ {found}",
        flush=True,
    )
    return found


def main() -> None:
    """Run all configurations; exit with 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began, found = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder, run_server() as warm:
        os.environ["PATH"] = f"{warm}{os.pathsep}{os.environ['PATH']}"
        for number, name in enumerate(CONFIGS):
            kills = (given.kills + number) // len(CONFIGS)
            found += run_trial(name, Path(folder), kills, given.seed, SHARES)
    print(
        f"{given.kills} kills in {(time.monotonic() - began) / 60:.0f} minutes, {len(found)} differ"
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
