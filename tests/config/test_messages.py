"""Problems of files: one for each value, by a key that people have written."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.config.messages import explain_problems
from pipeline.config.overrides import apply_override
from pipeline.config.params import validate_params
from pipeline.config.sweep_file import read_sweep
from pipeline.errors import ParamsError
from tests.support.params import SHIPPED

PLAIN = yaml.safe_load(SHIPPED)
CLASSES = "input should be the name or the number of a class"


def problems_of(key: str, value: object) -> list[str]:
    """Return what is wrong with the shipped params after a change; nothing if they are valid."""
    values = deepcopy(PLAIN)
    apply_override(values, key, value)
    try:
        validate_params(values)
    except ValidationError as error:
        return explain_problems(error, values)
    return []


def list_keys(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from list_keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


@pytest.mark.parametrize(
    ("order", "problems"),
    [
        ([0.5, 0.25], [
            f"class_order.0: {CLASSES}, or a list of such, got 0.5",
            f"class_order.1: {CLASSES}, or a list of such, got 0.25",
        ]),
        ([[0.5, 1], [True]], [
            f"class_order.0.0: {CLASSES}, got 0.5",
            f"class_order.1.0: {CLASSES}, got True",
        ]),
        ([None], [f"class_order.0: {CLASSES}, or a list of such, got None"]),
    ],
)  # fmt: skip
def test_a_class_of_no_kind_is_one_problem(order: object, problems: list[str]) -> None:
    assert problems_of("class_order", order) == problems


@pytest.mark.parametrize("value", ["?", 0.5, -7, True, [[]], [0.5], {"str": 1}], ids=repr)
def test_a_value_of_no_kind_is_one_problem_of_its_own_key(value: object) -> None:
    for key in list_keys(PLAIN):
        found = problems_of(key, value)
        about = [line for line in found if ": input should" in line or ": list should" in line]
        assert len(about) <= 1, found
        for line in about:
            where = line.partition(":")[0]
            assert where.startswith(key), line
            assert where.removeprefix(key).replace(".", "").isdigit() or where == key, line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slurm: {extra: {a: [1]}}", "slurm.extra.a: input should be a text, a whole number, true or false, got [1]"),
        ("slurm: {extra: {str: null}}", "slurm.extra.str: input should be a text, a whole number, true or false, got None"),
        ("list: [{data: {1: 2}}]", "list.0.data.1: input should be a valid string, got 1"),
        ("list: [{seed: 2020-01-01}]", "list.0.seed: input was not a valid JSON value"),
    ],
)  # fmt: skip
def test_a_sweep_names_its_own_keys(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as refused:
        read_sweep(path)
    [line] = str(refused.value).split("\n")
    assert line.startswith(f"{path}: {problem}")
