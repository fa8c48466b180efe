"""MLflow: one run a training of the stream, on a server or in a database file."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pytorch_lightning.loggers import MLFlowLogger

from pipeline.training.loggers.known_points import KnownPoints

EXPERIMENT = "cassle"
PATIENCE = 60.0  # seconds, for another run that opens the database
RUN = "cassle.run"  # the tag by which the processes of a run find it


class MLflow(MLFlowLogger):
    """Lightning's logger for MLflow, with all tasks in one run.

    Points that an earlier process has logged stay, and are passed over.

    Args:
        save_dir: the folder of all runs.
        name: of the run.
        version: of the task, ``task_2``, say.
    """

    def __init__(self, *, save_dir: str, name: str, version: str) -> None:
        # MLflow would ask a server that does not answer for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        database = f"sqlite:///{Path(save_dir).resolve() / 'mlflow.db'}"
        address = os.environ.get("MLFLOW_TRACKING_URI") or database
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        # Two runs that begin together would both make the tables of a new database.
        with FileLock(Path(save_dir, "mlflow.lock"), timeout=PATIENCE):
            client = MlflowClient(address)
            number = _open_experiment(client, experiment)
        runs = client.search_runs([number], f"tags.`{RUN}` = '{name}'", max_results=1)
        self._known = KnownPoints(self._read_steps)
        self._earlier = bool(runs)
        super().__init__(
            experiment_name=experiment,
            run_name=name,
            tracking_uri=address,
            tags={RUN: name},
            run_id=runs[0].info.run_id if runs else None,
        )
        if runs:
            client.update_run(runs[0].info.run_id, status="RUNNING")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the metrics that this step has not yet."""
        at = step or 0
        if new := self._known.select_new(metrics, at):
            super().log_metrics(new, at)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Log the params of the run, once: MLflow takes no other value of one."""
        if not self._earlier:
            super().log_hyperparams(params)

    def _read_steps(self, name: str) -> list[int]:
        """The steps at which an earlier process has logged points of a metric."""
        held = self.experiment.get_metric_history(self.run_id, name) if self._earlier else []
        return [point.step for point in held]


def _open_experiment(client: MlflowClient, name: str) -> str:
    """Return the number of an experiment, which is made where it is not there."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # a run on another machine was faster
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
