"""The examples of docs/extending.md, taken from the page and run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.project import ROOT, make_data

PAGE = ROOT / "docs/extending.md"
FENCED = re.compile(r"^( *)```(python|yaml)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
BELONGS_IN = re.compile(r"# (?P<path>\S+\.(?:py|yaml))(?:, in (?P<registry>[A-Z]+))?")
SETS = re.compile(r"-S '?([a-z_0-9.]+)=([^\s']+)")
# What makes a run take seconds; everything else is as shipped.
SMALL = {
    "num_tasks": 2,
    "backbone": {"small_resnet": {"widths": [4, 8]}},
    "methods": {"simclr": {"projector": [16, 8]}},
    "train": {"epochs": 2, "batch_size": 16, "warmup_epochs": 1},
    "linear_eval": {"epochs": 3, "milestones": [2]},
}
# Every command line in one process, so that torch is imported once.
STAGES = """
import runpy, sys
for line in sys.argv[1:]:
    sys.argv = ["pipeline", *line.split()]
    try:
        from pipeline.cli import main
        main()
    except SystemExit as stop:
        if stop.code:
            raise
"""
# Until the package is laid out as the page says: names in the page, and where they are now.
OLD_PLACES = {
    "pipeline.distributed.collectives": "pipeline.methods.distributed",
    "pipeline.data.datasets.": "pipeline.data.",
    "pipeline/data/datasets/": "pipeline/data/",
    **{
        f"pipeline/config/registry/{name}.py": "pipeline/registry.py"
        for name in ("methods", "strategies", "probes", "backbones", "datasets")
    },
}
if (ROOT / "pipeline/config/registry").is_dir():
    OLD_PLACES = {}


@dataclass(frozen=True)
class Block:
    """A block of code, and the file it belongs in; the registry too, if it is an entry of one."""

    path: str
    registry: str | None
    text: str


def sections() -> dict[str, str]:
    """The page's text by the headings of its sections."""
    _, *parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def blocks(section: str) -> Iterator[Block]:
    for _, _, code in FENCED.findall(section):
        for new, old in OLD_PLACES.items():
            code = code.replace(new, old)
        first, _, text = textwrap.dedent(code).partition("\n")
        where = BELONGS_IN.fullmatch(first)
        assert where, f"the first line names no file: {first}"
        yield Block(where["path"], where["registry"], text)


def merge(params: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            merge(params.setdefault(key, {}), value)
        else:
            params[key] = value


class Copy:
    """A small project with a package of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=leave)
        shutil.copy(ROOT / "params.yaml", root)
        make_data(root / "data/fashion_mnist")
        self.set(SMALL)

    def set(self, changes: Mapping[str, Any]) -> None:
        """Change params by key."""
        yaml = YAML()
        path = self.root / "params.yaml"
        params = yaml.load(path)
        merge(params, changes)
        yaml.dump(params, path)

    def choose(self, given: str) -> None:
        """Set the params that a command line sets with ``-S``."""
        for key, value in SETS.findall(given):
            changes: Any = YAML(typ="safe").load(value)
            for name in reversed(key.split(".")):
                changes = {name: changes}
            self.set(changes)

    def add(self, block: Block) -> None:
        """Put a block of code where it belongs."""
        path = self.root / block.path
        if block.path == "params.yaml":
            self.set(YAML(typ="safe").load(block.text))
        elif block.registry is None:
            assert not path.exists(), f"{block.path} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            opening = re.compile(rf"^{block.registry}\b.* = {{\n", re.MULTILINE)
            text = path.read_text(encoding="utf-8")
            (start,) = opening.finditer(text)
            text = text[: start.end()] + block.text + text[start.end() :]
            path.write_text(text, encoding="utf-8")

    def run(self, *lines: str) -> str:
        """Run command lines of cassle; return what they print."""
        ran = subprocess.run(
            [sys.executable, "-c", STAGES, *lines],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    def train_and_evaluate(self, num_tasks: int = 2) -> str:
        """Run every stage."""
        numbers = range(num_tasks + 1)
        return self.run(
            *("plan", "prepare", "init"),
            *(f"train {number}" for number in numbers if number),
            *(f"evaluate {number}" for number in numbers),
            *("views", "report"),
        )


Extend = Callable[[str], Copy]


@pytest.fixture
def extend(tmp_path: Path) -> Extend:
    """Make a small project that is extended, and its params set, as a section of the page says."""

    def extended(name: str) -> Copy:
        project = Copy(tmp_path)
        section = sections()[name]
        added = list(blocks(section))
        assert added
        for block in added:
            project.add(block)
        project.choose(next(line for line in section.splitlines() if "-S " in line))
        return project

    return extended


def test_the_method_trains_and_distils(extend: Extend) -> None:
    project = extend("A method")
    project.set({"methods": {"align_uniform": {"projector": [16, 8]}}})
    assert "align_uniform" in project.run("list methods")
    project.train_and_evaluate()
    log = (project.root / "data/logs/task_2.csv").read_text()
    assert "distill" in log.splitlines()[0]


def test_the_strategy_adds_its_term(extend: Extend) -> None:
    project = extend("A strategy")
    assert "l2_sp" in project.run("list strategies")
    project.train_and_evaluate()
    for task, has_it in ((1, False), (2, True)):
        log = (project.root / f"data/logs/task_{task}.csv").read_text()
        assert ("l2_sp" in log.splitlines()[0]) is has_it


def test_the_strategy_composes(extend: Extend) -> None:
    project = extend("A strategy")
    composed = next(line for line in sections()["A strategy"].splitlines() if "l2_sp+er" in line)
    project.choose(composed)
    project.run("plan", "prepare", "init", "train 1", "train 2")


def test_the_probe_scores_better_than_chance(extend: Extend) -> None:
    project = extend("A probe")
    assert "ridge" in project.run("list probes")
    assert "probe ridge" in project.train_and_evaluate()
    *_, last = (project.root / "reports/accuracy_over_tasks.csv").read_text().splitlines()
    assert "ridge" in (project.root / "reports/probes.csv").read_text()
    assert float(last.split(",")[1]) > 15


def test_the_data_set_is_cut_into_its_classes(extend: Extend) -> None:
    project = extend("A data set")
    random = np.random.default_rng(0)
    (project.root / "data/shapes").mkdir()
    for part, count in (("train", 48), ("test", 12)):
        images = random.integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
        labels = np.arange(count) % 3
        np.savez(project.root / f"data/shapes/{part}.npz", images=images, labels=labels)
    assert "shapes" in project.run("list datasets")
    project.train_and_evaluate(num_tasks=3)
    report = (project.root / "reports/report.md").read_text()
    assert all(name in report for name in ("circle", "square", "triangle"))


def test_the_data_set_says_what_is_missing(extend: Extend) -> None:
    project = extend("A data set")
    with pytest.raises(AssertionError, match=r"train.npz is missing or damaged"):
        project.run("plan", "prepare")


def test_the_backbone_trains_and_is_exported(extend: Extend) -> None:
    project = extend("A backbone")
    project.set({"backbone": {"conv_net": {"width": 4}}})
    assert "conv_net" in project.run("list backbones")
    project.train_and_evaluate()
    project.run("export --output exported --no-onnx")
    assert "ConvNet(1, 'conv3_stride2', width=4)" in (project.root / "exported/README.md").read_text()


def test_every_section_has_its_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for name in sections():
        assert f'extend("{name}")' in text, name


def test_the_examples_are_formatted_and_typed(tmp_path: Path) -> None:
    project = Copy(tmp_path)
    added = [block for text in sections().values() for block in blocks(text)]
    for block in added:
        project.add(block)
    files = sorted({block.path for block in added if block.path.endswith(".py")})
    for tool in ("ruff check", "ruff format --check", "mypy"):
        command = [*shlex.split(tool), *files]
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        ran = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{tool}: {ran.stdout}{ran.stderr}"
