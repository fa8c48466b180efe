"""Overrides of params, written as `dvc exp run -S` reads them, and names made of them."""

from __future__ import annotations

import re
import subprocess

import pytest
from dvc.utils.hydra import to_hydra_overrides

from pipeline.config.overrides import (
    MAX_NAME,
    apply_override,
    flatten,
    has_key,
    name_experiment,
    write_override,
)
from pipeline.errors import ParamsError

VALUES = [
    None, True, False, 3, -1, 0.5, 1e-05, 2.0, "cassle", "cassle+er", "data/own", "5", "0.5", "null", "True", "nan", "",
    "a b", "a,b", "a=b", "it's", r"(\w+)_\d+\.png", "ends\\", "it\\'s", "[a]", "{a}", 'quo"ted', "a:b", "ümlaut", "#x",
    [], [1, 2], ["linear", "knn"], [[0, 1], ["a b", None]], [0.5, 1.0],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_dvc_reads_the_value_that_was_written(value: object) -> None:
    [read] = to_hydra_overrides([write_override("train.key", value)])
    assert read.key_or_group == "train.key"
    found = read.value()
    assert found == value
    assert type(found) is type(value)
    assert not read.is_sweep_override(), "a list of its own would be several experiments"


def test_a_key_that_params_lack_is_added() -> None:
    [read] = to_hydra_overrides([write_override("train.lars.clip", True, known=False)])
    assert read.is_force_add()
    params: dict[str, object] = {"train": {"epochs": 1}}
    assert not has_key(params, "train.lars.clip")
    apply_override(params, "train.lars.clip", True)
    apply_override(params, "train.epochs", 2)
    assert params == {"train": {"epochs": 2, "lars": {"clip": True}}}
    assert has_key(params, "train.lars.clip")


def test_a_key_inside_of_a_value_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"train\.epochs is no section, and 'train\.epochs\.x'"):
        apply_override({"train": {"epochs": 1}}, "train.epochs.x", 2)


def test_sections_become_dotted_keys() -> None:
    nested = {"train": {"epochs": 1, "lars": {"clip": True}}, "data.root": "x", "seed": 0}
    assert dict(flatten(nested)) == {
        "train.epochs": 1,
        "train.lars.clip": True,
        "data.root": "x",
        "seed": 0,
    }


def test_a_name_says_what_was_overridden() -> None:
    given = {"strategy": "cassle+er", "train.learning_rate": 0.05, "seed": 1}
    assert name_experiment(given) == "strategy=cassle+er,train.learning_rate=0.05,seed=1"


def test_names_are_references_of_git_and_differ_where_the_overrides_do() -> None:
    given: list[dict[str, object]] = [{"key": value} for value in VALUES]
    given += [{"data.root": f"{'x' * 200}{n}"} for n in range(2)]
    given += [{"data.root": "a..b"}, {"data.root": "a./b"}, {"data.root": "a.lock"}]
    names = [name_experiment(each) for each in given]
    assert len(set(names)) == len(given)
    for name in names:
        assert len(name) <= MAX_NAME
        assert re.fullmatch(r"[A-Za-z0-9_.+=,-]+", name), name
    # One part of a reference each.
    command = ["git", "check-ref-format", f"refs/exps/{'/'.join(names)}"]
    assert subprocess.run(command).returncode == 0
