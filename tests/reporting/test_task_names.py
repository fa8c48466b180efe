"""What tasks, streams and data sets are called, and that long names leave room for others."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from rich.console import Console

from pipeline.artifacts.split import Split
from pipeline.reporting import plots, tables, terminal
from pipeline.reporting.page.page import render_page
from pipeline.reporting.results import Results
from pipeline.reporting.task_names import (
    give_room,
    list_names,
    name_dataset,
    name_task,
    say_task,
    shorten_list,
)
from pipeline.reporting.terminal_widths import fit_columns
from tests.reporting.test_page import Parsed, make_extras, make_results


def split_of(results: Results, task: int, **changes: object) -> Split:
    return dataclasses.replace(results.splits[task - 1], **changes)  # type: ignore[arg-type]


def domain_results(*domains: str) -> Results:
    results = make_results(len(domains))
    results.params.update(dataset="image_folder", data={"root": "../pictures/my emoji/"})
    one = {"class_names": ["c"], "classes": [0], "labels": {"train": [0] * 3, "test": [0] * 2}}
    splits = [
        split_of(results, task, scenario="domain", domain=domain, **one)
        for task, domain in enumerate(domains, start=1)
    ]
    return dataclasses.replace(results, splits=splits)


def print_terminal(results: Results, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal.print_results(results, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_task_is_called_by_its_classes_domain_or_folder_and_a_random_part_by_its_number() -> None:
    results = make_results()
    assert name_task(results.splits[1], 40) == "2 · kind 2.0, kind 2.1"
    assert name_task(split_of(results, 2, domain="sketch"), 40, gone=[2]) == "2 · sketch †"
    part = split_of(results, 2, scenario="data")
    assert name_task(part, 40) == "task 2" and name_task(part, 40, gone=[2]) == "task 2 †"
    assert say_task(2, ", ".join(list_names(part))) == "task 2"
    assert say_task(2, "sketch") == "task 2 (sketch)"


def test_long_lists_of_classes_keep_whole_names_and_say_that_there_are_more() -> None:
    names = ["T-shirt/top", "Trouser", "Bag"]
    assert shorten_list(names, 40) == "T-shirt/top, Trouser, Bag"
    assert shorten_list(names, 24) == "T-shirt/top, Trouser, …"
    assert shorten_list(names, 20) == "T-shirt/top, …"
    assert shorten_list(names, 8) == "T-shirt…"
    assert shorten_list([], 8) == ""
    for count in range(1, 200):
        assert 10 <= give_room(count) <= 40
        assert count > 12 or count * give_room(count) <= 120


def test_a_folder_of_images_is_called_by_its_name() -> None:
    params: dict[str, object] = {"dataset": "image_folder", "data": {"root": "a/my emoji/"}}
    assert name_dataset(params) == "my emoji"
    assert name_dataset(params | {"data": {"root": "."}}) == Path.cwd().name
    assert name_dataset(params | {"dataset": "cifar10"}) == "cifar10"
    assert name_dataset({"dataset": "image_folder"}) == "image_folder"


def test_every_output_calls_tasks_by_their_names() -> None:
    results = domain_results("noto", "twemoji", "fluent")
    named = "1 · noto", "2 · twemoji", "3 · fluent"
    markdown = tables.markdown(results, "0123")
    assert markdown.startswith("# my emoji, class-incremental: simclr with cassle\n")
    assert f"| | {' | '.join(named)} | mean |" in markdown
    assert "| after 2 · twemoji |" in markdown
    page = Parsed(render_page(results, make_extras(results)))
    assert page.said("h1") == ["my emoji: simclr with cassle"]
    assert set(named) <= set(page.said("th"))
    assert set(named) <= set(page.said("text"))  # bars, curves and the map
    assert set(named) <= set(page.said("figcaption"))  # the views
    printed = print_terminal(results, 120)
    for name in named:
        number, domain = name.split(" · ")
        assert f"{number} ·" in printed and domain in printed
    assert "after 2 · twemoji" in printed and "my emoji: simclr with cassle" in printed


def test_the_matrix_fits_80_columns_and_many_tasks_are_listed_below_each_other() -> None:
    results = make_results(5)
    clothes = ["T-shirt/top", "Trouser"], ["Pullover", "Dress"], ["Coat", "Sandal"]
    splits = [
        dataclasses.replace(split, class_names=clothes[split.task % 3]) for split in results.splits
    ]
    lines = print_terminal(dataclasses.replace(results, splits=splits), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("│ after task") for line in lines) == 5
    for pair in clothes:
        assert all(any(name in line for line in lines) for name in pair)
    for tasks in (7, 20, 60):
        lines = print_terminal(make_results(tasks), 80).splitlines()
        assert max(map(len, lines)) <= 80
        rows = [line for line in lines if re.match(r"│ \d+ · kind", line)]
        assert len(rows) == tasks
        assert f"{tasks} · kind {tasks}.0, kind {tasks}.1" in rows[-1]


def test_columns_share_a_width_without_breaking_a_word() -> None:
    columns = [["after task 1"], ["Ankle boot", "72.7"], ["T-shirt/top\nTrouser", "88.5"]]
    # What stands between three columns takes ten characters.
    assert fit_columns(columns, 43) == [12, 10, 11]
    assert fit_columns(columns, 39) == [12, 6, 11]
    # The names of the rows are broken last, and no line into less than six characters.
    assert fit_columns(columns, 38) == [8, 9, 11]
    assert fit_columns(columns, 33) == [6, 6, 11]
    assert fit_columns(columns, 32) is None
    assert fit_columns([["漢字"]], 8) == [4]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_name_is_broken_however_the_table_is_laid_out(width: int) -> None:
    results = make_results(4)
    long = [["Internationally", f"T-shirt/top-{split.task}"] for split in results.splits]
    splits = [
        dataclasses.replace(split, class_names=names)
        for split, names in zip(results.splits, long, strict=True)
    ]
    lines = print_terminal(dataclasses.replace(results, splits=splits), width).splitlines()
    assert max(map(len, lines)) <= width
    for name in {name for names in long for name in names}:
        assert any(name in line for line in lines), name


@pytest.mark.pipeline
@pytest.mark.parametrize("tasks", [1, 5, 20, 60])
def test_plots_are_drawn_with_names_that_fit(
    tasks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []
    set_ticks = Axes.set_xticks

    def noted(self: Axes, ticks: object, labels: list[str], **options: object) -> object:
        named.extend(labels)
        return set_ticks(self, ticks, labels, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "set_xticks", noted)
    results = make_results(tasks)
    plots.draw_accuracy_matrix(results, tmp_path / "matrix.png")
    assert named[0].replace("\n", " ").startswith("1 · kind")
    assert all(len(line) <= 20 for name in named for line in name.split("\n"))
    plots.draw_accuracy_over_tasks(results, tmp_path / "curves.png")
    plots.draw_losses(results, tmp_path / "losses.png")
    plots.draw_projections(results, tmp_path / "projections.png")
