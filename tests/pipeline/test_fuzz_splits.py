"""Whatever a split holds, sealed as it should be: the plan's own images or one clear error."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import layout
from pipeline.data.datasets.fashion_mnist import FashionMNIST
from pipeline.data.parts import Part
from pipeline.errors import DataError, RunError
from pipeline.files.sealed_json import Json, digest, read_sealed, write_sealed
from tests.support.fuzzing import count_examples
from tests.support.project import CLASSES, PER_CLASS, Project

COUNTS = {"train": CLASSES * PER_CLASS["train"], "test": CLASSES * PER_CLASS["t10k"]}
KEYS = ["task", "scenario", "dataset", "classes", "class_names", "fingerprint", "train", "test"]
KEYS += ["labels", "set_fingerprint", "counts"]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 170)
    | st.sampled_from([-1, 2**31, 2**63, 2**64, 10**400, COUNTS["train"], COUNTS["test"]])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["../../etc/passwd", "/etc/passwd", "1", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=5,
)
KINDS = ["set", "item", "item", "append", "repeat", "remove", "swap", "add"]
changes = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(KEYS),
        st.integers(0, 60),
        values,
    ),
    min_size=1,
    max_size=3,
)


def changed(split: dict[str, Any], edits: list[tuple[str, str, int, Any]]) -> dict[str, Any]:
    """Return a split with some of what it holds not as it was."""
    split = copy.deepcopy(split)
    for kind, key, place, value in edits:
        held = split.get(key)
        if kind == "remove":
            split.pop(key, None)
        elif kind == "add":
            split[f"{key}{place}"] = value
        elif kind == "set":
            split[key] = value
        elif isinstance(held, list) and held:
            place %= len(held)
            if kind == "item":
                held[place] = value
            elif kind == "append":
                held.append(value)
            elif kind == "repeat":
                held.append(held[place])
            elif kind == "swap":
                held[0], held[place] = held[place], held[0]
    return split


def is_right(split: dict[str, Any], whole: dict[str, Any], part: Part, source: FashionMNIST) -> bool:  # fmt: skip
    """Say, by other means, whether a split names images of its own classes."""
    chosen, classes = split[part], split["classes"]
    if any(isinstance(number, bool | float | str | None | list | dict) for number in chosen):
        return False
    if not 0 <= min(chosen) <= max(chosen) < COUNTS[part] or len(set(chosen)) < len(chosen):
        return False
    labels = source.labels(part)[np.array(chosen)]
    fingerprint = split["fingerprint"][part] == whole["fingerprint"][part]
    return bool(np.isin(labels, classes).all()) and fingerprint


def rewrite(task: int, split: Json) -> None:
    """Put another split in a task's place, as if ``prepare`` had made it."""
    write_sealed(layout.split(task), split)
    index = read_sealed(layout.SPLIT_INDEX, DataError, "")
    assert index is not None
    write_sealed(layout.SPLIT_INDEX, index | {str(task): digest(split)})


@pytest.fixture
def project(project: Project) -> Project:
    project.trained(0)
    return project


def test_training_begins_with_the_right_images_or_not_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.stages import train_task as train

    def begins(*arguments: object, **named: object) -> float:
        raise RunError("training began")

    monkeypatch.setattr(train, "fit", begins)
    whole = read_sealed(layout.split(1), DataError, "")
    assert whole is not None
    source = FashionMNIST(project.root / "data/fashion_mnist", False)
    seen: set[bool] = set()
    kinds: set[str] = set()

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=count_examples(33, 1000),
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(edits=changes)
    def each(edits: list[tuple[str, str, int, Any]]) -> None:
        split = changed(whole, edits)
        try:
            write_sealed(layout.split(1), split)
        except (ValueError, UnicodeEncodeError):  # no JSON can hold it
            return
        code, _, err = project.cassle("train", "1", "--planned")
        assert code == 2, err
        assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1, err
        assert "Traceback" not in err
        began = "training began" in err
        if began:
            assert is_right(split, whole, "train", source), split
        else:
            assert str(layout.split(1)) in err or "split" in err or "images" in err, err
        seen.add(began)
        kinds.update(kind for kind, *_ in edits)
        assert not layout.state(1).exists()

    each()
    assert seen == {True, False}, "some splits were right and some were not"
    assert kinds == set(KINDS), "each kind came up"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": [0, -1]}, "train holds -1"),
        ({"train": [0, 0]}, "train holds one twice"),
        ({"train": [0, 1.0]}, "train[1] is 1.0, expected a whole number"),
        ({"train": [True]}, "train[0] is True, expected a whole number"),
        ({"train": [0, "1"]}, "train[1] is '1', expected a whole number"),
        ({"train": ["../../etc/passwd"]}, "none is named '../../etc/passwd'"),
        ({"train": []}, "train is []"),
        ({"train": [10**400]}, "none is named a number of more than 60 digits"),
        ({"train": [COUNTS["train"]]}, f"none is named {COUNTS['train']}"),
        ({"train": list(range(160))}, "changed since the split"),
        ({"train": [0, 1], "labels": {}}, "labels.train are not one for each image"),
        ({"labels": {"train": [6]}}, "labels.train are not one for each image"),
        ({"classes": [6]}, "which is not among its classes"),
        ({"class_names": ["Shirt"]}, "1 names for 4 classes"),
        ({"set_fingerprint": {"train": "0"}}, "set_fingerprint.test is missing"),
        ({"classes": None}, "classes is None, expected a list"),
        ({"task": 2}, "it says task 2"),
        ({"task": True}, "task is True, expected a whole number"),
        ({"fingerprint": {"train": 1}}, "fingerprint.train is 1, expected text"),
        ({"fingerprint": {"train": "0"}}, "fingerprint.test is missing"),
        ({"fingerprint": {"train": "0", "test": "0"}}, "changed since the split"),
    ],
)
def test_a_sealed_split_that_cannot_be_right_is_refused(
    change: dict[str, Any], said: str, project: Project
) -> None:
    whole = read_sealed(layout.split(1), DataError, "")
    assert whole is not None
    split: dict[str, Any] = whole | change
    if isinstance(split["train"], list) and "labels" not in change:
        # As many labels as images, else nothing else is looked at.
        labels = {**split["labels"], "train": split["labels"]["train"][:1] * len(split["train"])}
        split |= {} if "train" not in change else {"labels": labels}
    write_sealed(layout.split(1), split)
    code, _, err = project.cassle("train", "1", "--planned")
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_class_that_the_data_set_lacks_is_refused_before_the_images_are_read(
    project: Project,
) -> None:
    whole = read_sealed(layout.split(2), DataError, "")
    assert whole is not None
    names, classes = whole["class_names"], whole["classes"]
    more = {"class_names": [*names, "Hat"], "classes": [*classes, CLASSES]}  # type: ignore[misc]
    rewrite(2, whole | more)
    code, _, err = project.cassle("evaluate", "0", "--planned")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "task 2" in err or str(layout.split(2)) in err
    assert "10" in err
    assert not layout.EXTRACTED.exists()


def test_a_split_of_another_run_of_prepare_is_refused(project: Project) -> None:
    whole = read_sealed(layout.split(3), DataError, "")
    assert whole is not None
    labels = {**whole["labels"], "train": whole["labels"]["train"][1:]}  # type: ignore[index,dict-item]
    write_sealed(layout.split(3), whole | {"train": whole["train"][1:], "labels": labels})  # type: ignore[index,operator]
    code, _, err = project.cassle("evaluate", "0", "--planned")
    assert code == 2
    assert f"{layout.split(3)} is not the split that {layout.SPLIT_INDEX} names" in err


def test_the_report_reads_no_split_that_cannot_be_right(project: Project) -> None:
    project.set({"num_tasks": 1, "train.epochs": 1, "train.warmup_epochs": 0, "evaluation.probes": ["linear"]})  # fmt: skip
    project.trained(1)
    project.must("evaluate", "0")
    project.must("evaluate", "1")
    whole = read_sealed(layout.split(1), DataError, "")
    assert whole is not None
    rewrite(1, {key: whole[key] for key in whole if key != "train"})
    code, _, err = project.cassle("report", "--planned")
    assert code == 2
    assert "train is missing" in err
