"""The last encoder is found under its name by DVC, and is the network of the last state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dvc.repo import Repo
from ruamel.yaml import YAML

import pipeline
from pipeline import layout
from tests.support.params import ROOT, with_changes
from tests.support.project import Project


@pytest.mark.parametrize("num_tasks", [5, None])
def test_the_artifact_is_an_output_of_evaluate(
    num_tasks: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = (ROOT / layout.CHAIN).read_text()
    (tmp_path / layout.CHAIN).write_text(chain)
    params = with_changes((ROOT / layout.PARAMS).read_text(), {"num_tasks": num_tasks})
    (tmp_path / layout.PARAMS).write_text(params)
    monkeypatch.chdir(tmp_path)
    with Repo.init(no_scm=True) as repo:
        artifact = repo.artifacts.read()["dvc.yaml"]["encoder"]
    assert artifact.path == layout.ENCODER.as_posix()
    outs = YAML(typ="safe").load(chain)["stages"]["evaluate"]["outs"]
    assert layout.ENCODER.as_posix() in {path for out in outs for path in out}


@pytest.mark.pipeline
def test_the_file_is_the_network_of_the_last_state(project: Project) -> None:
    project.set({"num_tasks": 2, "evaluation.probes": ["linear", "knn"]})
    project.finished(2)
    last, file = pipeline.load_encoder(2, "cpu"), pipeline.load_encoder(layout.ENCODER, "cpu")
    held = file.backbone.state_dict()
    assert all(torch.equal(value, held[key]) for key, value in last.backbone.state_dict().items())
    assert file.identity == last.identity
    earlier = pipeline.load_encoder(1, "cpu")
    assert earlier.identity != file.identity
