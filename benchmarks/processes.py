"""Run the benchmark's parts as processes: each alone, with a result of one JSON object."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import RunError
from pipeline.layout import ROOT

Measurements = dict[str, float]


def run_module(
    module: str, *arguments: str | Path, python: Path | None = None, threads: int | None = None
) -> Measurements:
    """Run a module of the benchmark; return its measurements.

    Args:
        module: its name.
        arguments: of its command line.
        python: the interpreter; None: this one.
        threads: threads that an operation takes; None: as the environment has it.

    Raises:
        RunError: it failed.
    """
    command = [str(python or sys.executable), "-m", module, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"{module} failed:\n{done.stderr[-2000:]}")
    found: Measurements = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_seconds(command: Sequence[str], folder: Path | None = None) -> float:
    """Return the seconds that a command takes.

    Raises:
        RunError: the command failed.
    """
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - began


def measure_in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> Measurements:
    """Return the median seconds of each command, run in turns over several rounds."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(measure_seconds(command))
    return {name: statistics.median(found) for name, found in taken.items()}


def medians(rounds: Sequence[Measurements]) -> Measurements:
    """Return the median of each measurement over rounds."""
    return {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
