"""The wheel: what it holds, and a project of the program that is installed from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline import layout
from tests.support.params import ROOT, SMALL, with_changes

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
RAN = re.compile(r"Running stage '([^']+)'")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this code, built without a network in a copy of the tree."""
    made = tmp_path_factory.mktemp("wheel")
    tree = made / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pipeline", tree / "pipeline", ignore=ignored)
    patterns = (*layout.PROJECT, *layout.EXAMPLES, "pyproject.toml", "setup.py", "README.md")
    for path in (path for each in (*patterns, "LICENSE") for path in ROOT.glob(each)):
        target = tree / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    run(tree, sys.executable, "-c", BUILD, str(made))
    return next(made.glob("*.whl"))


def run(folder: Path, *command: str, **variables: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_wheel_holds_the_code_and_what_a_project_begins_with(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
        for pattern in (*layout.PROJECT, *layout.EXAMPLES):
            paths = list(ROOT.glob(pattern))
            assert paths, pattern
            for path in paths:
                name = (layout.SHIPPED_FOLDER / path.relative_to(ROOT)).as_posix()
                assert held.read(name) == path.read_bytes()
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}
    assert "pipeline/reporting/page/templates/page.html" in names


def test_an_installed_program_makes_a_project_and_its_upgrade_runs_what_uses_it(
    wheel: Path, tmp_path: Path
) -> None:
    site, project = tmp_path / "site", tmp_path / "mine"
    with zipfile.ZipFile(wheel) as held:
        held.extractall(site)

    def call(folder: Path, *command: str) -> str:
        return run(folder, *command, PYTHONPATH=str(site))

    def stages() -> set[str]:
        return set(RAN.findall(call(project, "dvc", "repro", "init")))

    call(tmp_path, sys.executable, "-m", "pipeline", "new", "mine")
    params = project / layout.PARAMS
    params.write_text(with_changes(params.read_text(), {**SMALL, "num_tasks": 2}))
    assert stages() == {"code", "plan", "init"}
    assert (project / layout.state(0)).is_file()
    # An upgrade of what the random network is not made by, and one of what it is.
    for name, runs in (
        ("metrics/cka", {"code", "plan"}),
        ("models/stems", {"code", "plan", "init"}),
    ):
        with (site / f"pipeline/{name}.py").open("a") as module:
            module.write("\nUPGRADED = True\n")
        assert stages() == runs
