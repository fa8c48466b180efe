"""The last encoder is found under its name by DVC."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline import layout
from tests.support.params import ROOT, with_changes


@pytest.mark.parametrize("num_tasks", [5, 2])
def test_the_artifact_is_the_state_of_the_last_task(
    num_tasks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = (ROOT / layout.CHAIN).read_text()
    (tmp_path / layout.CHAIN).write_text(chain)
    params = with_changes((ROOT / layout.PARAMS).read_text(), {"num_tasks": num_tasks})
    (tmp_path / layout.PARAMS).write_text(params)
    monkeypatch.chdir(tmp_path)
    with Repo.init(no_scm=True) as repo:
        artifact = repo.artifacts.read()["dvc.yaml"]["encoder"]
    assert artifact.path == layout.state(num_tasks).as_posix()
    # Without an output of that path there is nothing to get.
    stages = YAML(typ="safe").load(chain)["stages"]
    outs = [stages["train_first"]["outs"], stages["train"]["do"]["outs"]]
    assert all(layout.STATES.as_posix() in out[0] for out in outs)
