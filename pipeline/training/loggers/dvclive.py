"""DVCLive: the files that DVC's extension for VS Code and ``dvc plots`` read."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvclive.lightning import DVCLiveLogger


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
        self._known: dict[str, set[int]] = {}

    def log_metrics(
        self, metrics: Mapping[str, float], step: int | None = None, sync: bool | None = True
    ) -> None:
        """Log the metrics that this step has not yet."""
        at = step or 0
        new = {name: value for name, value in metrics.items() if at not in self._steps(name)}
        super().log_metrics(new, at, sync=True)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Write the params into params.yaml."""
        super().log_hyperparams(params)

    def finalize(self, status: str) -> None:
        """Write the summary; DVCLive's own end would add the folder to DVC's experiment."""
        self.experiment.sync()

    def _steps(self, name: str) -> set[int]:
        """The steps that a file of points had when this process began."""
        if name not in self._known:
            path = self.folder / "plots" / "metrics" / f"{name}.tsv"
            rows = []
            if path.is_file():
                with path.open(encoding="utf-8", newline="") as file:
                    rows = list(csv.DictReader(file, delimiter="\t"))
            self._known[name] = {int(row["step"]) for row in rows if row["step"]}
        return self._known[name]
