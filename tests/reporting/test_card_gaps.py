"""Model cards of states that were not tested on every task."""

from __future__ import annotations

import pytest

from pipeline.artifacts.evaluation import Evaluation, Evaluations
from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.reporting.card import state_metrics
from pipeline.reporting.card.card import render_card
from pipeline.reporting.card.contents import Card, Link
from pipeline.reporting.card.state_metrics import StateMetrics
from tests.reporting.test_gaps import GONE, MATRIX, NOT_DUE, NOT_HERE, gapped_results


def make_card(quality: StateMetrics, after_task: int, at_once: bool = False) -> Card:
    results = gapped_results()
    return Card(
        after_task=after_task,
        at_once=at_once,
        params={
            "dataset": "d", "scenario": "class", "method": "m", "strategy": "s",
            "backbone": {"name": "b", "b": {}}, "methods": {}, "strategies": {},
        },
        dataset=DatasetPlan("d", "a:B", "data", True, [], 1, 28, [0.5], [0.5]),
        splits=results.splits,
        backbone=BackbonePlan("b", "pipeline.models.small_resnet:SmallResNet", 1, "conv3", {"widths": [8], "blocks": 1}),
        num_features=8,
        chain=[Link(after_task, "0" * 64)],
        quality=quality,
        code="0123",
        protocol="p",
        files={},
    )  # fmt: skip


def test_the_model_card_has_dashes_and_a_dagger_and_says_why() -> None:
    quality = StateMetrics(MATRIX[3], None, [], gone=[1])
    text = render_card(make_card(quality, 3))
    names = " | ".join(f"{task} · kind {task}.0, kind {task}.1" for task in (2, 3, 4))
    assert f"| 1 · kind 1.0, kind 1.1 † | {names} | mean |" in text
    assert "| – | 85.0 | 95.0 | 45.0 | 75.0 |" in text
    assert f"–: not measured: {NOT_HERE}. Means are over what was measured." in text
    assert GONE in text
    early = render_card(make_card(StateMetrics(MATRIX[1], None, []), 1))
    assert "| 80.0 | 40.0 | – | – | 60.0 |" in early
    assert f"–: not measured: {NOT_DUE}." in early and "†" not in early
    whole = render_card(make_card(StateMetrics([1.0, 2.0, 3.0, 4.0], None, []), 1, at_once=True))
    assert "not measured" not in whole


def test_a_state_s_metrics_have_a_place_for_each_task_of_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = {"2": 85.0, "4": 45.0}
    found = Evaluation(3, "k", "s", "linear", ("a",), measured, {}, {}, {}, gone=(1,))
    held = Evaluations("p", [found], "f")
    monkeypatch.setattr(state_metrics, "read_evaluations", lambda plan: held)
    plan = ReportPlan("p", 4, "v", {}, {"num_tasks": 4}, "c", "linear", {})
    quality = state_metrics.read_state_metrics(plan, 3)
    assert quality == StateMetrics([None, 85.0, None, 45.0], None, [], (1,))
    absent = state_metrics.read_state_metrics(plan, 2)
    assert absent.accuracy is None
    assert absent.missing == [
        "state 2 was not evaluated; run `cassle evaluate` first (or `dvc repro`; after damage, `cassle clean` before that)"
    ]
