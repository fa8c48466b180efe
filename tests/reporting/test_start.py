"""What a stream starts from is called a random network only where it is one."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.artifacts.transfer import Transfer
from pipeline.reporting.comparing.measured_cells import remark_on_measured
from pipeline.reporting.gaps import remark_on_gaps
from pipeline.reporting.page.curves import draw_transfer
from pipeline.reporting.results import Results
from tests.reporting.test_compare_page import captions, compare, make_run, make_sweep
from tests.reporting.test_page import make_results

WEIGHTS = {"backbone": {"weights": "elsewhere"}}


@pytest.mark.parametrize(
    ("weights", "start"), [({}, "random network"), (WEIGHTS, "pretrained network")]
)
def test_row_0_is_called_by_what_it_is(weights: dict[str, object], start: str) -> None:
    results = make_results()
    results = dataclasses.replace(
        results,
        params={**results.params, **weights},
        transfer=[Transfer(0, "other", "k", {"knn": 50.0}, {"train": 9, "test": 9}, 2)],
    )
    assert f"tasks learnt (0: {start})" in str(draw_transfer(results))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Results, "headline_learns_while_training", True)
        assert f"and the {start} is not; so FT" in remark_on_gaps(results)[0]


def test_a_comparison_calls_each_start_by_its_name() -> None:
    pretrained = make_run(90.0, backbone__weights="elsewhere", strategy="cassle", seed=7)
    random = captions(compare(make_sweep()))["over-tasks"]
    assert "after each task; 0 is the random network. Lines" in random
    alone = captions(compare([pretrained]))["over-tasks"]
    assert "after each task; 0 is the pretrained network. Lines" in alone
    [said] = remark_on_measured(
        {"a": [[None], [1.0]], "b": [[1.0], [None]], "c": [[None], [1.0]]},
        {"a": "random network", "b": "random network", "c": "pretrained network"},
    )
    assert "a (random network on task 1); b (state after task 1 on task 1); " in said
    assert "c (pretrained network on task 1)" in said
