"""Runs that end below the random network: what counts, and where it is said."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from pipeline.reporting import tables, terminal
from pipeline.reporting.below_random import (
    MOST_NAMED,
    Shortfall,
    Shortfalls,
    describe_shortfalls,
    find_shortfalls,
    warn_of_shortfalls,
)
from pipeline.reporting.card.card import render_card
from pipeline.reporting.card.state_metrics import StateMetrics
from pipeline.reporting.page.page import render_page
from pipeline.reporting.start import RANDOM_NETWORK
from tests.reporting.test_card_gaps import make_card
from tests.reporting.test_compare_gaps import write_gapped
from tests.reporting.test_page import Parsed, make_extras, make_results
from tests.support.results_repository import Repository

PRESET = "cassle preset use own_images_small"


def test_the_mean_and_each_task_count() -> None:
    assert find_shortfalls([[50.0, 60.0], [0.0, 0.0], [50.0, 60.0]]) is None
    both = find_shortfalls([[50.0, 60.0], [90.0, 90.0], [40.0, 61.0]])
    assert both == Shortfalls(Shortfall(50.5, 55.0), {1: Shortfall(40.0, 50.0)})
    one = find_shortfalls([[50.0, 60.0], [90.0, 90.0], [49.0, 99.0]])
    assert one == Shortfalls(None, {1: Shortfall(49.0, 50.0)})


def test_only_what_both_networks_were_measured_on_counts() -> None:
    found = find_shortfalls([[None, 60.0, 90.0], [1.0, 1.0, 1.0], [5.0, 70.0, None]])
    assert found is None
    assert find_shortfalls([[None, None], [1.0, 1.0]]) is None
    found = find_shortfalls([[None, 60.0, 10.0], [1.0, 1.0, 1.0], [5.0, 50.0, None]])
    assert found == Shortfalls(Shortfall(50.0, 60.0), {2: Shortfall(50.0, 60.0)})


def test_a_shared_test_set_has_a_mean_alone() -> None:
    found = find_shortfalls([[50.0] * 3, [60.0] * 3, [40.0] * 3])
    assert found == Shortfalls(Shortfall(40.0, 50.0), {})


def test_the_words_name_numbers_that_differ_and_few_tasks() -> None:
    found = Shortfalls(Shortfall(57.5, 62.0), {2: Shortfall(50.04, 50.01 + 0.04)})
    assert describe_shortfalls(found, "task {}".format, RANDOM_NETWORK) == (
        "A 57.5 (random network 62.0), task 2 50.04 (random network 50.05)"
    )
    many = Shortfalls(None, {task: Shortfall(1.0, 2.0) for task in range(1, 60)})
    said = describe_shortfalls(many, "task {}".format, RANDOM_NETWORK)
    assert said.endswith(f", {59 - MOST_NAMED} more tasks")
    assert warn_of_shortfalls([[1.0], [2.0], [3.0]], str, RANDOM_NETWORK) is None


def test_every_output_says_it_once_and_says_what_helps() -> None:
    better = dataclasses.replace(make_results(2), matrix=[[50.0, 50.0], [60.0, 60.0], [60.0, 60.0]])
    worse = dataclasses.replace(better, matrix=[[50.0, 50.0], [60.0, 60.0], [60.0, 40.0]])
    named = "task 2 (kind 2.0, kind 2.1) 40.0 (random network 50.0)"
    for results, count in ((better, 0), (worse, 1)):
        console = Console(file=io.StringIO(), width=1000)
        terminal.print_results(results, console)
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        assert printed.count("warning: ") == printed.count(named) == count
        markdown = tables.markdown(results, "0123")
        assert markdown.count(named) == markdown.count(f"`{PRESET}`") == count
        page = Parsed(render_page(results, make_extras(results)))
        assert page.said("code").count(PRESET) == count
        assert sum(named in said for said in page.said("p")) == count


def test_the_model_card_of_a_trained_state_says_it() -> None:
    row: list[float | None] = [70.0, 40.0, 70.0, 70.0]
    quality = StateMetrics(row, None, [], start=[50.0] * 4)
    assert "task 2 (kind 2.0, kind 2.1) 40.0" in render_card(make_card(quality, 3))
    assert PRESET not in render_card(make_card(dataclasses.replace(quality, start=row), 0))


def test_a_run_from_pretrained_weights_is_held_against_these() -> None:
    matrix = [[50.0, 60.0], [60.0, 70.0], [60.0, 40.0]]
    params = {**make_results(2).params, "backbone": {"weights": "elsewhere"}}
    results = dataclasses.replace(
        make_results(2), matrix=matrix, params=params, random=[20.0, 30.0]
    )
    metrics = results.metrics()
    assert metrics["forward_transfer"] == 10.0, "70 - 60, of state 0"
    assert metrics["forward_transfer_random"] == 40.0, "70 - 30"
    assert metrics["plasticity_random"] == 25.0, "(60 - 20 + 40 - 30) / 2"
    assert metrics["forgetting_from_start"] == 0.0
    named = "40.0 (pretrained network 60.0)"
    counted = "The random network has A 25.0 on the same images; counted from that, FT 40.0 and"
    console = Console(file=io.StringIO(), width=1000)
    terminal.print_results(results, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    page = " ".join(Parsed(render_page(results, make_extras(results))).said("p"))
    for said in (printed, tables.markdown(results, "0123"), page):
        assert named in said
        assert counted in said
        assert "train.backbone_rate" in said
        assert PRESET not in said


def write(repository: Repository, name: str, first: float, last: float, **params: object) -> None:
    matrix = [[first, first], [90.0, 90.0], [last, 90.0]]
    write_gapped(repository, (last + 90) / 2, matrix, **params)
    repository.keep(name)


def random_rows(out: str) -> list[list[str]]:
    lines = [line.split("   ") for line in out.splitlines() if "random network  " in line]
    return [[cell.strip() for cell in line if cell.strip()] for line in lines]


def test_a_comparison_has_the_random_network_and_names_who_ends_below_it(
    repository: Repository,
) -> None:
    for seed, first in enumerate((60.0, 64.0)):
        write(repository, f"f{seed}", first, 50.0, strategy="finetune", seed=seed)
        write(repository, f"c{seed}", first, 80.0, strategy="cassle", seed=seed)
    out = repository.compare("--output", "out.csv")
    assert random_rows(out) == [
        ["–", "random network", "2", "62.00 ± 2.83", "–", "–", "–", "–", "–"]
    ]
    said = " ".join(out.split())
    assert "f0 (task 1 50.0 (random network 60.0)); f1 (task 1 50.0 (random network 64.0))" in said
    assert PRESET in said and "c0 (" not in said
    text = (repository.root / "out.csv").read_text()
    [line] = [row for row in text.splitlines() if "random network,,average_accuracy" in row]
    assert ",62.0," in line


def test_random_networks_that_differ_between_methods_have_a_row_each(
    repository: Repository,
) -> None:
    write(repository, "s", 60.0, 80.0, method="simclr", seed=0)
    write(repository, "b", 61.0, 80.0, method="byol", seed=0)
    rows = random_rows(repository.compare())
    assert [row[:4] for row in rows] == [
        ["simclr", "random network", "1", "60.00 ± –"],
        ["byol", "random network", "1", "61.00 ± –"],
    ]


def test_a_comparison_calls_pretrained_networks_so(repository: Repository) -> None:
    write(repository, "r", 60.0, 50.0, seed=0)
    write(repository, "p", 70.0, 65.0, seed=0, backbone={"name": "net", "weights": "elsewhere"})
    out = " ".join(repository.compare().split())
    assert "– random network 1 60.00" not in out or "– pretrained network 1" in out
    assert "worse features than the random network's: r (" in out
    assert "worse features than the pretrained network's: p (" in out


@pytest.mark.parametrize("last", [60.0, 75.0])
def test_a_run_that_does_not_end_below_it_is_not_named(repository: Repository, last: float) -> None:
    write(repository, "s", 60.0, last, seed=0)
    assert PRESET not in repository.compare()
