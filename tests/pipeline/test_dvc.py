"""The chain under DVC: what runs, what comes from the cache, what stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import layout
from pipeline.config.chain import read_slots
from tests.support.dvc_repository import copy_code
from tests.support.params import ROOT
from tests.support.project import Project

RAN = re.compile(r"Running stage '([^']+)'")
DVC_YAML = yaml.safe_load((ROOT / "dvc.yaml").read_text())


class Repository:
    """A git and DVC repository with the project's own code and a few images."""

    def __init__(self, project: Project, warm_python: Path) -> None:
        self.root = project.root
        copy_code(self.root)
        project.set({"num_tasks": 2})
        self.environment = os.environ | {
            "PATH": os.pathsep.join(
                [str(warm_python), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "OMP_NUM_THREADS": "1",
        }
        self.run("git", "init", "--quiet")
        self.commit()

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "Change")

    def stages(self, *command: str) -> set[str]:
        """Run a DVC command; return the stages that ran, not those from the cache."""
        return set(RAN.findall(self.run("dvc", *command)))


@pytest.fixture
def repository(project: Project, warm_python: Path) -> Repository:
    return Repository(project, warm_python)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for a repository whose tasks are learnt, which tests get copies of."""
    return tmp_path_factory.mktemp("learnt") / "repository"


@pytest.fixture
def learnt(repository: Repository, kept: Path) -> Repository:
    """A repository whose tasks are learnt and committed."""
    if kept.exists():
        shutil.rmtree(repository.root)
        shutil.copytree(kept, repository.root, symlinks=True)
        os.chdir(repository.root)
        return repository
    stages = {"plan", "confirm", "prepare", "init", "train_first", "train@2", "evaluate", "report"}
    assert stages <= repository.stages("repro")
    repository.commit()
    shutil.copytree(repository.root, kept, symlinks=True)
    return repository


def test_dvc_yaml_has_one_slot_for_each_task_that_it_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = DVC_YAML["stages"]
    monkeypatch.chdir(ROOT)
    slots = read_slots()
    assert slots == 5
    tasks = range(2, slots + 1)
    assert stages["train"]["foreach"] == {str(task): str(task - 1) for task in tasks}
    cut = {next(iter(out)) for out in stages["prepare"]["outs"]}
    assert {str(layout.split(task)) for task in range(1, slots + 1)} < cut
    # Folders stand for the files of all tasks, of however many there are.
    assert str(layout.STATES) in stages["evaluate"]["deps"]
    assert {str(layout.LOGS), str(layout.EVALUATIONS)} <= set(stages["report"]["deps"])


def test_a_change_reruns_what_uses_it_and_nothing_else(learnt: Repository) -> None:
    assert learnt.stages("repro") == set()
    states = {p.name: p.read_bytes() for p in (learnt.root / layout.STATES).iterdir()}

    changed = learnt.stages("exp", "run", "-S", "distill_weight=0.5")
    # Slot 3 is empty: it follows the last state, and ends at once.
    assert changed == {"plan", "confirm", "train@2", "train@3", "evaluate", "report"}
    assert "distill_weight" in learnt.run("dvc", "params", "diff")
    assert "average_accuracy" in learnt.run("dvc", "metrics", "diff")

    said = learnt.run("dvc", "exp", "run", "-S", "distill_weight=1.0")
    # DVC brings no output back that persists, so the stage runs, and finds all that it knew.
    assert set(RAN.findall(said)) == {"plan", "confirm", "evaluate", "report"}
    assert "probe linear: task 1" not in said, "no state is evaluated twice"
    assert {p.name: p.read_bytes() for p in (learnt.root / layout.STATES).iterdir()} == states

    evaluated = learnt.stages("exp", "run", "-S", "evaluation.knn.k=5")
    assert evaluated == {"plan", "confirm", "evaluate", "report"}
    learnt.commit()

    (learnt.root / "pipeline/methods/another.py").write_text('"""Another."""\nX = 1\n')
    assert learnt.stages("repro") == {"plan", "confirm"}
    with (learnt.root / "pipeline/reporting/tables.py").open("a") as file:
        file.write("\nX = 1\n")
    assert learnt.stages("repro") == {"plan", "confirm", "report"}
    with (learnt.root / "pipeline/training/learner.py").open("a") as file:
        file.write("\n# A comment.\n")
    assert learnt.stages("repro") == {"plan", "confirm"}

    shown = json.loads(learnt.run("dvc", "metrics", "show", "--json"))
    metrics = shown[""]["data"]["reports/metrics.json"]["data"]
    figures = {"average_accuracy", "forgetting", "forward_transfer", "plasticity", "stability"}
    figures |= {"average_incremental_accuracy", "backward_transfer", "knowledge_gain"}
    assert set(metrics) == figures | {"consolidation", "cka", "headline"}
    for command in (("show",), ("diff", "HEAD")):
        assert "index.html" in learnt.run("dvc", "plots", *command, "-o", "drawn")
        page = (learnt.root / "drawn/index.html").read_text()
        # The matrix as a heatmap where there is a network, as an image where there is none.
        assert '"percent"' in page
        assert page.count("var spec =") == len(DVC_YAML["plots"])
        assert "offline, look at the images below" in page
        for name in ("accuracy_matrix", "accuracy_over_tasks", "losses", "projections"):
            assert (learnt.root / f"drawn/static/workspace_reports_{name}.png").is_file()
            assert f"static/workspace_reports_{name}.png" in page
    shown = learnt.run(
        "dvc", "exp", "show", "-A", "--csv", "--only-changed", "--drop", "data/|pipeline"
    )
    header = shown.splitlines()[0].split(",")
    assert {"average_accuracy", "distill_weight", "evaluation.knn.k"} <= set(header)
    # Twelve metrics, and what changed.
    assert len(header) <= 25, header


def test_an_online_classifier_trains_the_tasks_again_to_the_same_states(
    learnt: Repository,
) -> None:

    def states() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (learnt.root / layout.STATES).iterdir()}

    before = states()
    probes = ("-S", "evaluation.probes=[linear,online]", "-S", "evaluation.headline=online")
    ran = learnt.stages("exp", "run", *probes)
    assert {"prepare", "train_first", "train@2", "evaluate"} <= ran
    assert states() == before
    assert learnt.stages("repro") == set()
    # Only the classifier's own options: nothing else than it is made again.
    learnt.commit()
    assert "init" not in learnt.stages("exp", "run", "-S", "evaluation.online.learning_rate=0.2")
    assert states() == before


def test_bad_params_stop_the_chain_and_leave_the_results(repository: Repository) -> None:
    params = repository.root / "params.yaml"
    good = params.read_text()
    repository.run("dvc", "repro", "plan")
    plan = {p.name: p.read_bytes() for p in (repository.root / layout.PLAN).iterdir()}
    params.write_text(good.replace("method: simclr", "method: simcrl"))
    done = subprocess.run(
        ["dvc", "repro"], cwd=repository.root, env=repository.environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "'simcrl' is unknown; did you mean 'simclr'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in (repository.root / layout.PLAN).iterdir()} == plan
