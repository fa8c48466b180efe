"""Files that this user may not read: nobody is told to restore, replace or remove them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import layout
from pipeline.artifacts.encoder import WEIGHTS, read_encoder, read_origin
from pipeline.artifacts.view_sheet import read_view_strips
from pipeline.artifacts.weights import read_recipe
from pipeline.commands.record import rewrite_ledger
from pipeline.config.chain import read_locked_outputs, read_slots
from pipeline.config.superclasses import read_superclasses
from pipeline.data.datasets.idx import read_idx
from pipeline.errors import PipelineError, RunError
from pipeline.files.csv_tables import read_csv_checked
from pipeline.files.sealed_json import read_sealed
from pipeline.files.tensors import read_tensor_header
from pipeline.reporting.ledger.entries import read_published, read_reproduced
from tests.support.params import ROOT

READERS: dict[str, Callable[[Path], object]] = {
    "dvc.yaml": lambda _: read_slots(),
    "dvc.lock": lambda _: read_locked_outputs(),
    str(layout.REPRODUCED): read_reproduced,
    str(layout.PUBLISHED): read_published,
    str(layout.LEDGER): lambda _: rewrite_ledger(),
    "classes.csv": lambda path: read_superclasses(str(path)),
    f"out/{WEIGHTS}": lambda path: read_encoder(path.parent),
    f"origin/{WEIGHTS}": read_origin,
    "head.safetensors": lambda path: read_tensor_header(path, RunError, "train it"),
    "plan.json": lambda path: read_sealed(path, RunError, "run `cassle plan`"),
    "table.csv": lambda path: read_csv_checked(path, "0", RunError, "run `cassle report`"),
    "views.png": lambda path: read_view_strips(path, 1, "plan"),
    "images.gz": read_idx,
    "preprocessing.json": lambda path: read_recipe(path.with_name("weights.pth")),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what else there has to be."""
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("presets").symlink_to(ROOT / "presets")
    for name in (layout.CHAIN, layout.REPRODUCED, layout.PUBLISHED, layout.LEDGER):
        Path(name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_said_to_be_so(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    opened = Path.open

    def refuse(self: Path, *options: Any, **more: Any) -> Any:
        if self.name == path.name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *options, **more)

    monkeypatch.setattr(Path, "open", refuse)  # chmod stops nobody who is root
    with pytest.raises(PipelineError) as refused:
        READERS[name](path)
    said = str(refused.value)
    assert f"{name} cannot be read: Permission denied; make it readable for this user" in said
    for word in ("git checkout", "damaged", "pipeline's", "remove", "restore"):
        assert word not in said
