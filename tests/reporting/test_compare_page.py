"""The comparison's page: its numbers from hand-made runs, and that everybody can read it."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.reporting.comparing.comparison import Comparison, compare_runs
from pipeline.reporting.comparing.comparison_tables import (
    POOLED_LEGEND,
    format_tables,
    write_legends,
)
from pipeline.reporting.comparing.over_methods import pool_methods
from pipeline.reporting.comparing.run_groups import group_runs
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.comparison_page.charts import IntervalChart, SeriesChart, Style
from pipeline.reporting.comparison_page.figures import KEYS, draw_figures
from pipeline.reporting.comparison_page.page import TEMPLATES, render_comparison
from pipeline.reporting.page.markers import MARKERS
from tests.reporting.test_page import Parsed
from tests.support.browser import Browser, find_browser
from tests.support.params import change
from tests.support.results_repository import COST, IDENTITY, PARAMS

METRICS = ("average_accuracy", "forgetting")
SEEDS = {"finetune": (80.0, 81.0, 82.0), "cassle": (82.0, 83.5, 84.0), "er": (81.0, 83.0, 82.5)}


def make_run(accuracy: float, *, splits: str = "s", name: str = "", **params: object) -> Run:
    given = copy.deepcopy(PARAMS)
    change(given, {key.replace("__", "."): value for key, value in params.items()})
    steps = [[60.0, 60.0], [70.0, 65.0], [accuracy - 1, accuracy + 1]]
    at_once = given["strategy"] == "offline"
    return Run(
        name=name or f"{given['strategy']}-{given['seed']}",
        revision="c" * 40,
        params=given,
        metrics={"average_accuracy": accuracy, "forgetting": None if at_once else 2.0},
        matrix=[steps[0], steps[-1]] if at_once else list(steps),  # type: ignore[arg-type]
        cost=dict(COST),
        identity={**IDENTITY, "splits": splits},
    )


def make_sweep(seeds: int = 3, **params: object) -> list[Run]:
    return [
        make_run(value, strategy=strategy, seed=seed, **params)  # type: ignore[arg-type]
        for strategy, values in SEEDS.items()
        for seed, value in enumerate(values[:seeds])
    ]


def compare(runs: Sequence[Run], metrics: Sequence[str] = METRICS) -> Comparison:
    return compare_runs(group_runs(runs), metrics, None)


def texts(page: str) -> list[str]:
    return Parsed(page).said("text")


def captions(comparison: Comparison) -> dict[str, str]:
    figures = draw_figures(comparison, comparison.tables[0])
    return {figure.key: figure.caption for figure in figures}


def test_means_and_paired_differences_have_their_intervals_by_hand() -> None:
    said = texts(render_comparison(compare(make_sweep())))
    # 80, 81, 82: deviation 1, half width 4.30265 / sqrt(3) = 2.48414.
    assert "81.00 [78.52, 83.48] n = 3" in said
    # Differences 2, 2.5, 2: deviation 0.288675, half width 0.288675 * 2.48414 = 0.71711.
    assert "+2.17 [+1.45, +2.88] 3/3" in said
    assert said.count("2.00 [2.00, 2.00] n = 3") == 3  # F
    assert {"cassle", "er", "finetune"} <= set(said)


def make_methods(**without: int) -> list[Run]:
    """Runs of two methods; of one the seeds below a number are left out."""
    shift = {"simclr": 0.0, "byol": -1.0}
    return [
        make_run(
            value + (shift[method] if strategy == "cassle" else 0.0),
            method=method,
            strategy=strategy,
            seed=seed,
            name=f"{method}-{strategy}-{seed}",
        )
        for method in shift
        for strategy, values in SEEDS.items()
        for seed, value in enumerate(values)
        if seed >= without.get(method, 0)
    ]


def test_several_methods_are_taken_together_seed_by_seed() -> None:
    found = compare(make_methods())
    said = texts(render_comparison(found))
    # CaSSLe's differences 2, 2.5, 2 and 1, 1.5, 1: means 1.5, 2, 1.5; six of six: p = 2 / 64.
    together = "+1.67 [+0.95, +2.38] 6/6 p = 0.031"
    assert together in said
    assert "all 2 methods" in said
    [cells] = [
        row
        for table in format_tables(found)
        for row in table.rows
        if row[:2] == ["all 2 methods", "cassle"]
    ]
    assert cells == ["all 2 methods", "cassle", "3", together, "0.00 [0.00, 0.00] 0/6 p = 1.000"]
    assert POOLED_LEGEND in write_legends(found)
    figure = draw_figures(found, found.tables[0])[1]
    chart = figure.charts[0]
    assert isinstance(chart, IntervalChart)
    [row] = [row for row in chart.groups[-1][1] if row.name == "cassle"]
    assert list(row.points) == [1.5, 2.0, 1.5]
    assert "sign test" in figure.caption


def test_only_seeds_that_all_methods_have_are_taken_together() -> None:
    found = compare(make_methods(byol=1))
    [table] = found.tables
    cassle = next(each for each in pool_methods(table, METRICS) if "cassle" in str(each.rows[0]))
    assert cassle.seeds == [1, 2]
    difference = cassle.differences["average_accuracy"]
    assert difference is not None
    assert (difference.n, difference.pairs, difference.mean) == (2, 4, 1.75)
    none = compare(make_methods(byol=3))
    assert not pool_methods(none.tables[0], METRICS)


def test_one_method_is_not_taken_together_with_itself() -> None:
    runs = [*make_sweep(), *make_sweep(methods__simclr__temperature=0.5)]
    found = compare(runs)
    assert len({row.method_options for row in found.tables[0].rows if row.baseline}) == 2
    assert not pool_methods(found.tables[0], METRICS)
    assert POOLED_LEGEND not in write_legends(found)


def test_one_seed_has_a_marker_and_neither_interval_nor_band_nor_order() -> None:
    page = render_comparison(compare(make_sweep(seeds=1)))
    assert "80.00 [–] n = 1" in texts(page)
    assert "+2.00 [–] 1/1" in texts(page)
    kinds = {attributes.get("class") for _, attributes in Parsed(page).elements}
    assert {"dot", "seed"} <= kinds
    assert not {"interval", "cap", "band", "whisker"} & kinds
    more = render_comparison(compare(make_sweep(seeds=2)))
    kinds = {attributes.get("class") for _, attributes in Parsed(more).elements}
    assert {"interval", "cap", "band", "whisker"} <= kinds
    assert "nan" not in page + more


def test_the_order_takes_three_seeds_that_strategies_share_and_says_what_it_lacks() -> None:
    two = compare(make_sweep(seeds=2))
    assert captions(two)["order"] == (
        "simclr: no order, which takes 3 seeds or more that at least two strategies share (seeds: "
        "finetune 2, cassle 2, er 2; shared by those with 3 or more: 0)."
    )
    [figure] = [f for f in draw_figures(two, two.tables[0]) if f.key == "order"]
    assert not figure.charts and figure.table is None
    three = compare([*make_sweep(), make_run(90.0, strategy="pfr", seed=0)])
    [figure] = [f for f in draw_figures(three, three.tables[0]) if f.key == "order"]
    assert figure.table is not None
    # Of the 27 draws of the differences 1, 0.5 and 1.5 of cassle to er each has a sum above 0.
    assert figure.table.rows == [
        ["simclr", "cassle", "1", "100 %", "1", "3", "83.17"],
        ["simclr", "er", "2", "0 %", "2", "3", "82.17"],
        ["simclr", "finetune", "3", "0 %", "3", "3", "81.00"],
    ]
    assert "3 seeds have only 10 different draws" in figure.caption
    assert "simclr: left out with fewer than 3 seeds: pfr." in figure.caption


def test_the_order_is_by_the_metric_that_was_asked_for_first() -> None:
    runs = make_sweep()
    for run in runs:
        run.metrics["forgetting"] = {"finetune": 3.0, "cassle": 2.0, "er": 1.0}[
            str(run.params["strategy"])
        ]
    comparison = compare(runs, ["forgetting", "average_accuracy"])
    [figure] = [f for f in draw_figures(comparison, comparison.tables[0]) if f.key == "order"]
    assert figure.table is not None
    assert [row[1] for row in figure.table.rows] == ["er", "cassle", "finetune"]
    assert "lower left" in captions(comparison)["cost"]


def test_accuracy_is_followed_over_the_tasks_and_set_against_its_cost() -> None:
    comparison = compare([*make_sweep(), make_run(85.0, strategy="offline", seed=0)])
    drawn = {f.key: f.charts for f in draw_figures(comparison, comparison.tables[0])}
    assert tuple(drawn) == KEYS
    [over_tasks] = drawn["over-tasks"]
    assert isinstance(over_tasks, SeriesChart)
    lines = {series.name: series for series in over_tasks.series}
    assert lines["finetune"].points == [(0, 60.0), (1, 67.5), (2, 81.0)]
    low, high = lines["finetune"].bounds[2] or (0, 0)
    assert (low, high) == pytest.approx((78.51586, 83.48414), abs=1e-4)
    assert lines["finetune"].bounds[0] == (60.0, 60.0)
    # What learns all at once was not measured in between.
    after = [value for _, value in lines["offline"].points]
    assert after[0] == 60.0 and after[1] != after[1] and after[2] == 85.0
    charts = [chart for chart in drawn["cost"] if isinstance(chart, SeriesChart)]
    assert [chart.x_label for chart in charts] == [
        "training (s)", "forward passes (1: fine-tuning)", "kept beside the network (MB)",
    ]  # fmt: skip
    by_name = {series.name: series.points for series in charts[2].series}
    assert by_name["cassle"] == [(2.0, pytest.approx(83.16667, abs=1e-4))]


def test_a_strategy_has_one_style_in_all_figures_and_no_other_has_it() -> None:
    comparison = compare([*make_sweep(), *make_sweep(method="byol")])
    styles: dict[str, set[Style]] = {}
    for figure in draw_figures(comparison, comparison.tables[0]):
        for chart in figure.charts:
            if isinstance(chart, IntervalChart):
                rows = [row for _, members in chart.groups for row in members]
                together = ["all 2 methods"] if figure.key == "differences" else []
                assert [name for name, _ in chart.groups] == ["simclr", "byol", *together]
                shown = [(row.name, row.style) for row in rows]
            else:
                shown = [(series.name, series.style) for series in chart.series]
            for name, style in shown:
                styles.setdefault(name, set()).add(style)
    assert {name: len(found) for name, found in styles.items()} == dict.fromkeys(SEEDS, 1)
    assert len({style.marker for found in styles.values() for style in found}) == 3
    many = [Style(index, 60) for index in range(60)]
    assert len({(style.color, style.marker) for style in many}) == 60
    assert {style.marker for style in many} == set(MARKERS)


def test_tables_of_other_protocols_stand_apart_and_the_page_says_so() -> None:
    other = make_run(99.0, strategy="cassle", seed=0, evaluation__headline="knn")
    page = Parsed(render_comparison(compare([*make_sweep(), other])))
    said = " ".join(text for _, text in page.texts)
    assert "Not one protocol." in said and "were measured in 2 ways" in said
    assert "accuracies by probe linear: offline linear, on features extracted once" in said
    assert "accuracies by probe knn: nearest neighbours" in said
    assert {"table-1", "table-2"} <= {attributes.get("id") for _, attributes in page.elements}
    assert "Not one protocol." not in render_comparison(compare(make_sweep()))


def test_what_was_left_out_and_what_names_hold_is_text() -> None:
    evil = "<script>alert('x')</script>"
    runs = [*make_sweep(), make_run(83.0, strategy=evil, seed=0, name=evil)]
    found = compare([*runs, make_run(80.0, strategy="finetune", seed=0, name="twin")])
    page = render_comparison(found)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "The same run, counted once: finetune-0, twin." in Parsed(page).said("li")
    assert "all runs that were found are here" not in page
    assert "all runs that were found are here" in render_comparison(compare(make_sweep()))
    # Each run by its name.
    assert {"cassle-0", "er-2"} <= set(Parsed(page).said("td"))


@pytest.fixture(scope="module")
def everything() -> str:
    """A page of three tables with all that it can show."""
    elsewhere = make_sweep(seeds=2, splits="t", split_seed=1)
    options = [make_run(83.0 + s, strategy="cassle", seed=s, distill_weight=0.5) for s in range(3)]
    knn = make_run(99.0, strategy="cassle", seed=0, evaluation__headline="knn")
    return render_comparison(compare([*make_sweep(), *options, *elsewhere, knn]))


def test_the_page_asks_for_nothing_and_its_links_lead_somewhere(everything: str) -> None:
    page = Parsed(everything)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form", "img"}
        assert not any(name.startswith("on") for name in attributes), tag
    links = {str(attributes["href"]).removeprefix("#") for attributes in page.all("a")}
    assert links and links <= set(ids)
    assert "http" not in everything
    assert not re.search(r"url\(|@import|@font-face", (TEMPLATES / "comparison.css").read_text())
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert all(heading.get("scope") in {"row", "col"} for heading in page.all("th"))
    for image in page.all("svg"):
        assert set(str(image["aria-labelledby"]).split()) <= set(ids)
    assert all(len(text) > 20 for text in page.said("desc"))


def test_the_same_comparison_gives_the_same_text() -> None:
    first, second = (render_comparison(compare(make_sweep())) for _ in range(2))
    assert first == second


@pytest.mark.pipeline
@pytest.mark.skipif(find_browser() is None, reason="no Chromium or Chrome on PATH")
def test_a_browser_shows_it_wide_and_narrow_light_and_dark(everything: str, tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(everything)
    backgrounds = set()
    with Browser(tmp_path) as browser:
        for width, dark in ((1280, False), (390, True)):
            browser.emulate(width, dark)
            browser.open(path)
            wide = browser.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{width} px: the page is {wide} px wide"
            backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert browser.requests() == browser.complaints() == []
        assert browser.pdf().startswith(b"%PDF")
    assert len(backgrounds) == 2
