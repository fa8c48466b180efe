"""DVCLive: the files that DVC's extension for VS Code and ``dvc plots`` read."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvclive.lightning import DVCLiveLogger

from pipeline.training.loggers.known_points import KnownPoints


class DVCLive(DVCLiveLogger):
    """DVCLive's own logger, with all tasks in one folder, which no experiment of DVC has.

    DVCLive adds to the files that are there. Points that an earlier process has logged stay, and
    are passed over.

    Args:
        save_dir: the folder of all runs.
        name: of the run.
        version: of the task, ``task_2``, say.
    """

    def __init__(self, *, save_dir: str, name: str, version: str) -> None:
        self.folder = Path(save_dir, name)
        super().__init__(
            dir=str(self.folder), resume=True, report=None, save_dvc_exp=False, dvcyaml=None
        )
        self._known = KnownPoints(self._read_steps)

    def log_metrics(
        self, metrics: Mapping[str, float], step: int | None = None, sync: bool | None = True
    ) -> None:
        """Log the metrics that this step has not yet."""
        at = step or 0
        super().log_metrics(self._known.select_new(metrics, at), at, sync=True)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Write the params into params.yaml."""
        super().log_hyperparams(params)

    def finalize(self, status: str) -> None:
        """Write the summary; DVCLive's own end would add the folder to DVC's experiment."""
        self.experiment.sync()

    def _read_steps(self, name: str) -> list[int]:
        """The steps that a file of points has."""
        path = self.folder / "plots" / "metrics" / f"{name}.tsv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return [int(row["step"]) for row in csv.DictReader(file, delimiter="\t") if row["step"]]
