"""The default pipeline from nothing: what of its time is arithmetic, and what is not."""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import cast

from benchmarks.processes import Measurements, measure_seconds
from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed

_SECONDS = re.compile(r"seconds: (.*)")


def measure(revision: str, efficiency_first: float, efficiency: float) -> Measurements:
    """Clone a revision, run ``dvc repro`` there twice, and split the first one's time.

    Arithmetic is what the training steps took times their efficiency, and what evaluations
    spent on features and probes. The rest is start-up, DVC, files, the report and what a step
    does beside its arithmetic.

    Args:
        revision: of this repository; its cache is not used.
        efficiency_first: the share of arithmetic in a step of task 1.
        efficiency: that in a step of a later task.

    Raises:
        RunError: the clone or a stage failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        measure_seconds(["git", "clone", "--quiet", "--no-local", ".", str(root)])
        measure_seconds(["git", "checkout", "--quiet", revision], root)
        began = time.perf_counter()
        done = subprocess.run(["dvc", "repro"], cwd=root, capture_output=True, text=True)
        total = time.perf_counter() - began
        text = done.stdout + done.stderr
        if done.returncode:
            raise RunError(f"dvc repro failed:\n{text[-2000:]}")
        again = measure_seconds(["dvc", "repro"], root)
        training = _training(root)
    first, later = training[0], sum(training[1:])
    probes = [
        float(word.split()[-1]) for line in _SECONDS.findall(text) for word in line.split(", ")
    ]
    arithmetic = first * efficiency_first + later * efficiency + sum(probes)
    return {
        "seconds": total,
        "training_seconds": first + later,
        "evaluation_seconds": sum(probes),
        "arithmetic_seconds": arithmetic,
        "rest_share": 1 - arithmetic / total,
        "nothing_to_do_seconds": again,
    }


def _training(root: Path) -> list[float]:
    """Return the seconds of each task's training."""
    found = []
    for task in itertools.count(1):
        path = root / layout.timing(task)
        if not path.is_file():
            break
        timing = read_sealed(path, RunError, "run the benchmark again")
        if timing is not None:
            found.append(cast(float, timing["seconds"]))
    return found
