"""Every flipped bit and every truncation is noticed by what reads the file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.artifacts.evaluation import read_evaluations
from pipeline.artifacts.features import read_features
from pipeline.artifacts.plans.files import plan_digest, read_plan, require_plan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.artifacts.split import read_split, read_splits
from pipeline.artifacts.state import read_origin
from pipeline.artifacts.view_sheet import describe_sheet, read_view_strips
from pipeline.config.read import load_params
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.errors import DataError, PipelineError
from pipeline.reporting.comparing.runs import TABLES, read_run
from pipeline.reporting.results_reading import read_results
from pipeline.stages.plan import require_current
from tests.support.params import ROOT
from tests.support.project import Project, make_data
from tests.support.selections import select_part

FLIPS = 24


@pytest.fixture
def run(project: Project) -> Path:
    """A run of two tasks to damage, as the working folder."""
    project.set({"num_tasks": 2, "evaluation.probes": ["linear"]})
    shutil.copy(ROOT / layout.CHAIN, layout.CHAIN)
    project.finished(2, "train 5 --planned")
    return project.root


def read_report() -> object:
    return read_results(require_plan(ReportPlan, "report"))


def read_views() -> object:
    return read_view_strips(
        layout.VIEWS,
        2,
        describe_sheet(plan_digest(require_plan(ViewsPlan, "views")), read_splits(2)),
    )


def read_last_features() -> object:
    plan = require_plan(ReportPlan, "report")
    return read_features(read_evaluations(plan.evaluation).features)


READERS: dict[Path, Callable[[], object]] = {
    layout.state(0): lambda: read_origin(0),
    layout.state(2): lambda: read_origin(2),
    layout.FEATURES: read_last_features,
    layout.split(1): lambda: read_split(1),
    layout.SPLIT_INDEX: lambda: read_splits(2),
    layout.SPLIT_ORIGIN: lambda: require_current(load_params(layout.PARAMS), "views"),
    layout.EVALUATIONS: read_report,
    layout.log(2): read_report,
    layout.timing(2): read_report,
    layout.plan("train_2"): lambda: read_plan(TrainPlan, "train_2"),
    layout.plan("train_5"): lambda: read_plan(TrainPlan, "train_5"),
    layout.VIEWS: read_views,
    **{layout.REPORTS / name: lambda: read_run(None) for name in ("run.json", *TABLES)},
}


def damages(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Single bits flipped from the first byte to the last, and ends cut off."""
    random = np.random.default_rng(0)
    size = len(content)
    anywhere = random.integers(0, size, FLIPS).tolist()
    header = 8 + int.from_bytes(content[:8], "little")
    around = [header - 1, header, header + 1] if header < size else []
    flips = [
        (position, int(random.integers(0, 8)))
        for position in dict.fromkeys(
            [*range(min(8, size)), *anywhere, *around, size - 2, size - 1]
        )
    ]
    if content == b"null\n":
        flips = [(position, bit) for position in range(size) for bit in range(8)]
    for position, bit in flips:
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        yield f"bit {bit} of byte {position} of {size} flipped", bytes(damaged)
    for length in dict.fromkeys([0, 1, 7, 8, header, size // 2, size - 2, size - 1]):
        if length < size:
            yield f"cut to {length} of {size} bytes", content[:length]
    yield "a byte added", content + b" "


@pytest.mark.parametrize("path", READERS, ids=str)
def test_every_damage_is_noticed_where_the_file_is_read(path: Path, run: Path) -> None:
    content = path.read_bytes()
    READERS[path]()
    cases = 0
    for what, damaged in damages(content):
        path.write_bytes(damaged)
        cases += 1
        try:
            READERS[path]()
        except PipelineError as error:
            assert str(path) in str(error) or path.name in str(error), what
            assert "\n" not in str(error), what
        else:
            pytest.fail(f"{path}: {what}, and nothing was said")
    assert cases >= 30
    path.write_bytes(content)
    READERS[path]()


@pytest.mark.parametrize("name", ["SHA256SUMS", "train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])  # fmt: skip
def test_every_damage_to_the_embedded_images_is_noticed_or_changes_none(
    name: str, tmp_path: Path
) -> None:
    root = tmp_path / "fashion_mnist"
    make_data(root)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.iterdir()}
    (root / "SHA256SUMS").write_text("".join(f"{sums[key]}  {key}\n" for key in sorted(sums)))
    path = root / name
    content, whole = path.read_bytes(), FashionMNIST(root, False)

    def fingerprints(of: FashionMNIST) -> list[str]:
        return [select_part(of, part).fingerprint() for part in ("train", "test")]

    expected = fingerprints(whole)
    for what, damaged in damages(content):
        path.write_bytes(damaged)
        source = FashionMNIST(root, False)
        try:
            assert fingerprints(source) == expected, what
        except DataError:
            continue
        assert name == "SHA256SUMS", what
