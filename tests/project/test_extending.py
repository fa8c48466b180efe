"""The examples of docs/extending.md, taken from the page and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.support.project import make_data

pytestmark = pytest.mark.pipeline

ROOT = next(folder for folder in Path(__file__).parents if (folder / "params.yaml").exists())
PAGE = ROOT / "docs/extending.md"
FENCED = re.compile(r"^( *)```(python|yaml)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
BELONGS_IN = re.compile(r"# (?P<path>\S+\.(?:py|yaml))(?:, in (?P<registry>[A-Z]+))?")
SETS = re.compile(r"-S '?([a-z_0-9.]+)=([^\s']+)")
KINDS = ("methods", "strategies", "probes", "datasets", "backbones", "optimizers", "loggers")
# What makes a run take seconds; everything else is as shipped.
SMALL = {
    "train": {"epochs": 2, "batch_size": 16, "warmup_epochs": 1},
    "linear_eval": {"epochs": 3, "milestones": [2]},
    "evaluation": {"probes": ["linear"]},
}
SMALL_EXAMPLES = {
    "methods": {"align_uniform": {"projector": [16, 8]}},
    "backbone": {"conv_net": {"widths": [4, 8]}},
    "strategies": {"er": {"memory_size": 20}},
}
# Every command line in one process, so that torch is imported once.
STAGES = """
import runpy, sys
for line in sys.argv[1:]:
    sys.argv = ["pipeline", *line.split()]
    try:
        from pipeline.cli.main import main
        main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


@dataclass(frozen=True)
class Block:
    """A block of code, and the file it belongs in; the registry too, if it is an entry of one."""

    path: str
    registry: str | None
    text: str


def sections() -> dict[str, str]:
    """The page's text by the headings of its sections, without drafts."""
    _, *parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: text for name, text in found.items() if "<!-- draft -->" not in text}


def blocks(section: str) -> Iterator[Block]:
    for _, _, code in FENCED.findall(section):
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
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout


@pytest.fixture
def extended(tmp_path: Path) -> Copy:
    """A small project that is extended, and its params set, as all sections say together."""
    project = Copy(tmp_path)
    for name, section in sections().items():
        added = list(blocks(section))
        assert added, name
        for block in added:
            project.add(block)
        sets = [line for line in section.splitlines() if SETS.search(line)]
        assert sets, name
        for line in sets:
            project.choose(line)
    project.set(SMALL_EXAMPLES)
    random = np.random.default_rng(0)
    (tmp_path / "data/shapes").mkdir()
    for part, count in (("train", 48), ("test", 12)):
        images = random.integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
        labels = np.arange(count) % 3
        np.savez(tmp_path / f"data/shapes/{part}.npz", images=images, labels=labels)
    return project


def test_the_examples_work_together(extended: Copy) -> None:
    said = extended.run(
        *(f"list {what}" for what in KINDS),
        *("plan", "prepare", "init", "train 1", "train 2", "train 3"),
        "evaluate",
        *("report", "export --output exported --no-onnx"),
    )
    listed = {line.split()[0] for line in said.splitlines() if line.strip()}
    assert listed >= {
        "align_uniform",
        "l2_sp",
        "ridge",
        "shapes",
        "conv_net",
        "nadam",
        "json_lines",
    }
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"run": ')]
    # Two epochs in each of three tasks; steps are counted on from task to task.
    assert len(lines) == 6
    assert sorted({line["step"] for line in lines}) == [line["step"] for line in lines]
    assert all({"loss", "ssl", "align_uniform"} & set(line) for line in lines)
    assert "probe ridge" in said
    logs = [(extended.root / f"data/logs/task_{task}.csv").read_text() for task in (1, 2)]
    assert ["l2_sp" in log.splitlines()[0] for log in logs] == [False, True]
    report = (extended.root / "reports/report.md").read_text()
    assert all(name in report for name in ("circle", "square", "triangle", "align_uniform"))
    assert "ridge regression on frozen features (l2 0.001)" in report
    card = (extended.root / "exported/README.md").read_text()
    assert "ConvNet(1, 'conv3_stride2', widths=[4, 8])" in card


def test_the_example_method_distils(extended: Copy) -> None:
    extended.set({"strategy": "cassle"})
    extended.run("plan", "prepare", "init", "train 1", "train 2")
    assert "distill" in (extended.root / "data/logs/task_2.csv").read_text().splitlines()[0]


def test_the_example_data_set_says_what_is_missing(extended: Copy) -> None:
    (extended.root / "data/shapes/train.npz").unlink()
    with pytest.raises(AssertionError, match=r"train\.npz is missing or damaged"):
        extended.run("plan", "prepare")


def test_the_examples_are_formatted(tmp_path: Path) -> None:
    project = Copy(tmp_path)
    added = [block for text in sections().values() for block in blocks(text)]
    for block in added:
        project.add(block)
    files = sorted({block.path for block in added if block.path.endswith(".py")})
    for tool in ("ruff check", "ruff format --check"):
        command = [*shlex.split(tool), *files]
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        ran = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{tool}: {ran.stdout}{ran.stderr}"
