"""Kill ``dvc repro``, alone or with its stage, and begin again: does it end in the same files?

python -m tests.torture.dvc --kills 10
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.dvc_repository import ENVIRONMENT, make_repository, run
from tests.torture.stages import Trial, differences

LONGER = {"train.epochs": 60}
BUSY = "is being run by process"  # what a stage says whose outputs an orphan still writes


def repro(root: Path) -> subprocess.Popen[str]:
    """Start ``dvc repro`` in a process group of its own."""
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=root,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_at_random(trial: Trial, seconds: float, chance: random.Random) -> bool:
    """Start, and kill at a random moment; return whether the chain had ended before that."""
    moment = chance.uniform(0.1, 0.9) * seconds
    process = repro(trial.killed)
    time.sleep(moment)
    whole = trial.kills % 2 == 0
    if process.poll() is not None:
        output, _ = process.communicate()
        assert process.returncode == 0 or BUSY in output, output
        print(f"ended with {process.returncode} before it was killed", flush=True)
        return process.returncode == 0
    if whole:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    trial.kills += 1
    what = "dvc and its stage" if whole else "dvc alone"
    print(f"kill {trial.kills}: {what} after {moment:.0f} s", flush=True)
    return False


def finish(root: Path) -> None:
    """Run the chain to its end."""
    for _ in range(3):
        process = repro(root)
        output, _ = process.communicate()
        if process.returncode == 0:
            return
        assert BUSY in output, output
        print("the last stage of a killed dvc was still being stopped", flush=True)
    raise AssertionError(output)


def main() -> None:
    """Run in peace and under kills; exit with 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial("dvc", Path(folder) / "peace", Path(folder) / "killed")
        for root in (trial.peace, trial.killed):
            make_repository(root, LONGER)
        began = time.monotonic()
        run(trial.peace, "dvc", "repro")
        # A run is killed a few times on its way, so each time less of it is left.
        seconds = (time.monotonic() - began) / 4
        found, runs = [], 1
        while trial.kills < given.kills:
            if kill_at_random(trial, seconds, chance):
                found += differences(trial)
                shutil.rmtree(trial.killed)
                make_repository(trial.killed, LONGER)
                runs += 1
        finish(trial.killed)
        found += differences(trial)
    print(
        f"{trial.kills} kills of {runs} runs in {(time.monotonic() - began) / 60:.0f} minutes, "
        f"{len(found)} differ {found}"
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
