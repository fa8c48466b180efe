"""MLflow's logger, against a real server on this machine; run by `make mlflow`."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline import layout
from pipeline.training.loggers import guarded
from tests.support.project import Project

pytestmark = [
    pytest.mark.skipif(
        find_spec("mlflow") is None, reason="mlflow is not installed here; make mlflow tests it"
    ),
    # Of mlflow and what it brings.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that keeps its runs in a database of its own."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    store = ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'runs.db'}"]
    with (folder / "said.txt").open("w") as said:
        started = subprocess.Popen(
            [sys.executable, *command, *store], stdout=said, stderr=said, cwd=folder
        )
    try:
        until = time.monotonic() + 400  # it imports much, and tests may share the machine
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert started.poll() is None, (folder / "said.txt").read_text()
                assert time.monotonic() < until, (folder / "said.txt").read_text()
                time.sleep(0.5)
        yield address
    finally:
        started.terminate()
        started.wait(60)


def read_points(address: str) -> dict[str, list[tuple[int, float]]]:
    """The points of each metric of the only run."""
    client, run = find_run(address)
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run, name)]
        for name in client.get_run(run).data.metrics
    }


def find_run(address: str) -> tuple[Any, str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("cassle")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run.info.run_id


def expected() -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    for task, before in ((1, 0), (2, 8)):
        with layout.log(task).open() as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if name != "step":
                        step = before + int(row["step"])
                        points.setdefault(name, []).append((step, float(value)))
    return points


@pytest.mark.parametrize("where", ["server", "file"])
def test_all_tasks_are_one_run_and_a_task_trained_again_doubles_nothing(
    where: str, project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setattr(guarded, "PATIENCE", 500.0)  # where tests share the machine
    database = Path.cwd() / layout.RUN_LOGS / "mlflow" / "mlflow.db"
    address = f"sqlite:///{database}"
    if where == "server":
        address = request.getfixturevalue("server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    else:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project.set({"train.loggers": ["mlflow"]})
    project.train_through(2)
    project.must("train", "1")
    found = read_points(address)
    speeds = found.pop("images_per_second")
    assert found == expected()
    assert len(speeds) == len(found["loss"])
    client, run = find_run(address)
    held = client.get_run(run)
    assert held.data.params["strategy"] == "cassle"
    assert held.data.params["git_revision"].startswith("unknown")
    assert held.data.params["run"] == held.info.run_name
    assert held.info.status == "FINISHED"


def test_a_server_that_is_not_there_ends_no_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(guarded, "PATIENCE", 500.0)
    project.set({"train.loggers": ["mlflow"]})
    project.train_through(1)
    assert layout.state(1).exists()
    assert caplog.text.count("logger mlflow failed (") == 1
    assert os.environ["MLFLOW_TRACKING_URI"] not in layout.log(1).read_text()
