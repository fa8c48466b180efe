"""Presets against ``published_values.csv``: one line a preset and field, and who says so.

``script`` is a file of the CaSSLe paper's public code (github.com/DonkeyShot21/cassle), or of
another repository by its full name; ``there`` is the value as that file has it, or the default
that counts where a script is silent. ``ours``: nothing published says it.
"""

from __future__ import annotations

import copy
import csv
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.params import ROOT

TABLE = ROOT / "tests/config/published_values.csv"
OWN = {"own_images", "own_images_small"}  # chosen here; nobody published them
NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml") if path.stem not in OWN)
Path = tuple[str, ...]


@functools.cache
def read_table() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def published(name: str) -> Mapping[str, Any]:
    """Return the published values of a preset by field; the table has them as YAML."""
    yaml = YAML(typ="safe")
    rows = [row for row in read_table() if row["preset"] == name]
    return {row["field"]: yaml.load(row["value"]) for row in rows}


@functools.cache
def preset(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((ROOT / f"presets/{name}.yaml").read_text())
    return found


def fields(values: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from fields(value, (*above, key))
        else:
            yield (*above, key), value


def list_differences(values: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """Return a line for each field that a preset and the table do not have alike."""
    has = {".".join(path): value for path, value in fields(values)}
    lines = [f"{field} is not in the table" for field in has if field not in table]
    for field, wanted in table.items():
        if field not in has:
            lines.append(f"{field} is missing, published is {wanted!r}")
        elif repr(has[field]) != repr(wanted):  # 1, 1.0 and true are three values
            lines.append(f"{field} is {has[field]!r}, published is {wanted!r}")
    return lines


def other(value: object) -> Iterator[object]:
    """Return values a little beside a field's."""
    match value:
        case None:
            yield 0
        case bool():
            yield not value
            yield int(value)
        case int() | float():
            yield value * 1.001 if value else 1e-9
            yield str(value)
        case str():
            yield value + "_"
        case list():
            yield value[:-1]
            if value[::-1] != value:
                yield value[::-1]
            yield [*value, value[-1]]
            yield next(other(value[0]))
        case _:
            yield {}


def at(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the section that holds a field."""
    for key in path[:-1]:
        values = values[key]
    return values


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_preset_is_as_published(name: str) -> None:
    assert list_differences(preset(name), published(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_field_changed_added_or_removed_is_a_difference(name: str) -> None:
    paths = [path for path, _ in fields(preset(name))]
    assert len(paths) == len(published(name))
    for path in paths:
        field, key = ".".join(path), path[-1]
        for value in other(at(preset(name), path)[key]):
            changed = copy.deepcopy(preset(name))
            at(changed, path)[key] = value
            (line,) = list_differences(changed, published(name))
            assert line.startswith(f"{field} is ")
        removed = copy.deepcopy(preset(name))
        del at(removed, path)[key]
        lines = list_differences(removed, published(name))
        assert any(line.startswith(f"{field} is missing") for line in lines)
        added = copy.deepcopy(preset(name))
        at(added, path)[f"{key}_too"] = 1
        assert list_differences(added, published(name)) == [f"{field}_too is not in the table"]


def test_the_table_names_each_preset_and_field_once_and_who_says_so() -> None:
    rows = read_table()
    assert {row["preset"] for row in rows} == set(NAMES)
    keys = [(row["preset"], row["field"]) for row in rows]
    assert len(set(keys)) == len(keys)
    for row in rows:
        assert row["there"], row
        assert row["script"] == "ours" or row["script"].endswith((".sh", ".py")), row
