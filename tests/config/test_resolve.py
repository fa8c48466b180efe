"""Resolved plans: what is written to data/plan is what a stage reads."""

from __future__ import annotations

import json

import pytest

from pipeline.artifacts.plans.files import plan_text
from pipeline.config.read import parse_params
from pipeline.config.resolve import resolve
from pipeline.files.sealed_json import parse_sealed
from pipeline.files.typed_json import as_json, from_json
from tests.support.params import SHIPPED, Changes, with_changes

CASES: dict[str, Changes] = {
    "shipped": {},
    "domains": {"scenario": "domain", "num_tasks": 2, "data.domains": ["plain", "inverted"]},
    "an order of classes": {"class_order": [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]},
    "files": {
        "dataset": "domainnet",
        "scenario": "domain",
        "data.domains": ["real", "sketch"],
        "num_tasks": 2,
    },
    "all at once": {"strategy": "offline"},
    "composed": {"strategy": "cassle+er", "train.optimizer": "lars", "train.loggers": ["csv"]},
    "labels from elsewhere": {
        "dataset": "image_folder",
        "data.labelled_root": "labelled",
        "scenario": "data",
    },
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_a_plan_is_read_as_it_was_resolved(changes: Changes) -> None:
    plans = resolve(parse_params(with_changes(SHIPPED, changes), "params"))
    for name, plan in plans.by_file().items():
        text = plan_text(plan)
        if plan is None:
            assert text == "null\n", name
            continue
        held = parse_sealed(text.encode())
        assert held == json.loads(json.dumps(as_json(plan))), name
        assert from_json(type(plan), held) == plan, name
