"""The notebook's code does what the notebook says."""

from __future__ import annotations

import ast
import json

import pytest

from tests.support.params import ROOT
from tests.support.project import Project


def test_the_notebooks_cells_run_one_after_another(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = json.loads((ROOT / "docs/encoder.ipynb").read_text())
    assert notebook["nbformat"] == 4
    project.finished(3)
    names: dict[str, object] = {}
    shown = []
    for cell in notebook["cells"]:
        assert not cell.get("outputs"), "the notebook is kept without outputs"
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if last is not None:
            assert isinstance(last, ast.Expr)
            shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    run, encoder, shape, nearest = shown
    assert run[:2] == ("simclr", "cassle")
    assert encoder == ("data/states/task_3.safetensors", 8)
    assert shape == (6, 8)
    assert nearest[0] == ("down_4.png", pytest.approx(1))
    assert len(nearest) == 3
