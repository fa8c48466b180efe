"""Seconds until each stage begins its work: its process, its imports, its plan."""

from __future__ import annotations

import sys

from benchmarks.processes import Measurements, measure_in_turns

# The imports of the command line before a stage runs, in the same order.
_BEFORE = (
    "import sys; from pipeline.runtime.empty_slots import finish_if_empty; finish_if_empty([]); "
    "import pipeline.cli.main"
)
_TORCH = "from pipeline.runtime.before_torch import before_torch; before_torch()"
IMPORTS = {
    "all three libraries": "import torch, torchvision, pytorch_lightning",
    "plan": f"{_BEFORE}, pipeline.config.params, pipeline.stages.plan",
    "prepare": f"{_BEFORE}, pipeline.stages.prepare",
    "init": f"{_BEFORE}, pipeline.stages.init",
    "train": f"{_BEFORE}; {_TORCH}; import pipeline.stages.train_task",
    "evaluate": f"{_BEFORE}; {_TORCH}; import pipeline.stages.evaluate_states",
    "report": f"{_BEFORE}, pipeline.stages.report",
}
WHOLE = {"--help": ["--help"], "list": ["list", "methods"], "check": ["check"]}


def measure(rounds: int) -> Measurements:
    """Return the median seconds until each stage begins, and of three whole short commands.

    Args:
        rounds: the number of starts of each.
    """
    commands = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    commands |= {
        f"cassle {name}": [sys.executable, "-m", "pipeline", *arguments]
        for name, arguments in WHOLE.items()
    }
    return measure_in_turns(commands, rounds)
