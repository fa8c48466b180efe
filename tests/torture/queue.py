"""Ten experiments by two workers of DVC's queue: are they those that run one by one?

    python -m tests.torture.queue

As docs/scaling.md has it, the chain has been run once and committed before.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.support.dvc_repository import ENVIRONMENT, commit, make_repository, run

GRID = {
    f"w{weight}-s{seed}".replace(".", "_"): (weight, seed)
    for seed in (0, 1)
    for weight in (0.2, 0.4, 0.6, 0.8, 1.0)
}
LIMIT_SECONDS = 3600


def settings(name: str) -> list[str]:
    weight, seed = GRID[name]
    return ["-S", f"distill_weight={weight}", "-S", f"seed={seed}"]


def digests(lock: str) -> dict[str, str]:
    """Return DVC's digest of each output that holds no measured seconds."""
    stages = yaml.safe_load(lock)["stages"].values()
    outs = {out["path"]: str(out["md5"]) for stage in stages for out in stage.get("outs", [])}
    timed = ("data/logs/", "reports/")
    return {
        path: md5
        for path, md5 in outs.items()
        if not (path.startswith(timed) and not path.endswith(".csv"))
    }


def by_queue(root: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Return digests and metrics of each experiment, run by two workers."""
    for name in GRID:
        run(root, "dvc", "exp", "run", "--queue", "--name", name, *settings(name))
    # The workers go on after it, and would hold a pipe open.
    quiet = subprocess.DEVNULL
    command = ["dvc", "queue", "start", "--jobs", "2"]
    subprocess.run(command, cwd=root, env=ENVIRONMENT, stdout=quiet, stderr=quiet, check=True)
    began = time.monotonic()
    while True:
        time.sleep(15)
        status = run(root, "dvc", "queue", "status")
        waiting = status.count("Queued") + status.count("Running")
        print(f"{time.monotonic() - began:5.0f} s  {waiting} to go", flush=True)
        if not waiting:
            break
        assert time.monotonic() - began < LIMIT_SECONDS, status
    print(status, flush=True)
    failed = [line.split()[1] for line in status.splitlines() if line.endswith("Failed")]
    logs = "\n\n".join(run(root, "dvc", "queue", "logs", name) for name in failed)
    assert status.count("Success") == len(GRID), f"{logs}\n{status}"
    # Git does not look for names among DVC's references.
    listed = run(root, "git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    commits = {
        reference.rpartition("/")[2]: commit
        for reference, commit in (line.split() for line in listed.splitlines())
    }
    return {
        name: (
            digests(run(root, "git", "show", f"{commits[name]}:dvc.lock")),
            run(root, "git", "show", f"{commits[name]}:reports/metrics.json"),
        )
        for name in GRID
    }


def one_by_one(root: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Return the same, each experiment run in the workspace."""
    found = {}
    for name in GRID:
        run(root, "dvc", "exp", "run", *settings(name))
        lock, metrics = ((root / file).read_text() for file in ("dvc.lock", "reports/metrics.json"))
        found[name] = (digests(lock), metrics)
        print(f"{name} run alone", flush=True)
    return found


def main() -> None:
    """Run both ways; exit with 1 if a file differs."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("queue", "alone"):
            root = Path(folder) / name
            make_repository(root, {})
            run(root, "dvc", "repro")
            commit(root, "Run")
        began = time.monotonic()
        queued = by_queue(Path(folder) / "queue")
        minutes = (time.monotonic() - began) / 60
        alone = one_by_one(Path(folder) / "alone")
        left = list((Path(folder) / "queue").rglob("checkpoint.safetensors"))
    wrong = [name for name in GRID if queued[name] != alone[name]]
    files = len(next(iter(alone.values()))[0])
    print(
        f"{len(GRID)} experiments by two workers in {minutes:.1f} minutes; {files} files and the "
        f"metrics of each compared with those run alone: {len(wrong)} differ {wrong}; "
        f"{len({metrics for _, metrics in alone.values()})} different metrics, {len(left)} checkpoints left"
    )
    sys.exit(bool(wrong or left))


if __name__ == "__main__":
    main()
