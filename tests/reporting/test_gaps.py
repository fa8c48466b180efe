"""Accuracies that were not measured: what each output makes of them."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from rich.console import Console

from pipeline.artifacts.evaluation import Evaluation, ProbeAccuracies
from pipeline.files.csv_tables import read_csv
from pipeline.files.typed_json import as_json, from_json
from pipeline.reporting import plots, tables, terminal
from pipeline.reporting.chart_labels import alone_in_line
from pipeline.reporting.gaps import remark_on_gaps, remark_on_row
from pipeline.reporting.page.page import render_page
from pipeline.reporting.representations import FeatureChange
from pipeline.reporting.results import Probed, Results
from pipeline.reporting.results_reading import _rows
from pipeline.stages.report import write_tables
from tests.reporting.test_page import Parsed, make_extras, make_results, other_run

GONE = (
    "†: the images of this task are no longer here; its accuracies were measured while they were, "
    "over the classes and by the probes of that time."
)
NOT_DUE = "a state is tested on the tasks it has learnt and on the next one"
NOT_HERE = "the images of the task were no longer here when the state was tested"

# Each state was tested on the tasks it had learnt and on the next one; task 1's images were gone
# before task 3 was learnt.
MATRIX = [
    [20.0, 30.0, 10.0, 5.0],
    [80.0, 40.0, None, None],
    [70.0, 90.0, 35.0, None],
    [None, 85.0, 95.0, 45.0],
    [None, 81.0, 91.0, 99.0],
]
CKA = [
    [0.5, 0.5, None, None],
    [0.5, 0.5, None, None],
    [None, 0.5, 0.5, None],
    [None, 0.5, 0.5, 0.5],
]


def gapped_results() -> Results:
    full = make_results(4)
    return dataclasses.replace(
        full,
        matrix=MATRIX,
        probes={
            "linear": Probed(MATRIX, MATRIX),
            "knn": Probed(MATRIX, [[None, *row[1:]] for row in MATRIX]),
        },
        ranks=[[None if cell is None else 12.25 for cell in row] for row in MATRIX],
        changes=[FeatureChange(row, 0.75) for row in CKA],
        consolidation=[[None if cell is None else 87.25 for cell in row] for row in MATRIX],
        gone=[1],
        row_classes=[8, 4, 6, 8, 8],
    )


def test_an_evaluation_may_lack_tasks_and_keeps_those_that_are_gone() -> None:
    probe = ProbeAccuracies({"2": 85.0}, {"2": 90.0})
    evaluation = Evaluation(
        after_task=2,
        key="k",
        state="s",
        headline="linear",
        class_names=("a",),
        accuracy={"2": 85.0},
        probes={"linear": probe},
        rank={"2": 3.0},
        images={"train": 1},
    )
    assert "gone" not in as_json(evaluation)
    gone = dataclasses.replace(evaluation, gone=(1,))
    assert from_json(Evaluation, as_json(gone)) == gone
    assert _rows([evaluation], 3, lambda each: each.accuracy) == [[None, 85.0, None]]


def test_metrics_are_those_of_the_measured_cells() -> None:
    metrics = gapped_results().metrics()
    assert metrics["average_accuracy"] == round((81 + 91 + 99) / 3, 4)
    assert metrics["forgetting"] == ((90 - 81) + (95 - 91)) / 2
    assert metrics["forward_transfer"] == ((40 - 30) + (35 - 10) + (45 - 5)) / 3
    assert metrics["backward_transfer"] == ((81 - 90) + (91 - 95)) / 2
    assert metrics["knowledge_gain"] == round(((90 - 40) + (95 - 35) + (99 - 45)) / 3, 4)
    assert metrics["consolidation"] == 87.25
    nothing = dataclasses.replace(gapped_results(), matrix=[*MATRIX[:-1], [None] * 4])
    assert nothing.metrics()["average_accuracy"] is None


def test_remarks_say_why_and_only_where_they_apply() -> None:
    full = make_results()
    assert remark_on_gaps(full) == []
    assert remark_on_gaps(dataclasses.replace(full, row_classes=[6, 6, 6, 6])) == []
    dash, dagger, classes = remark_on_gaps(gapped_results())
    assert dash == (
        f"–: not measured: {NOT_DUE}, and only while their images are here. Means are over what "
        "was measured."
    )
    assert dagger == GONE
    assert "choose from 8 classes" in classes
    assert "after task 1 (4), after task 2 (6)." in classes
    assert "easier and are not comparable with the last one" in classes
    [only_due] = remark_on_gaps(
        dataclasses.replace(
            full, matrix=[[1.0, 2.0, 3.0], [1.0, 2.0, None], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
        )
    )
    assert NOT_DUE in only_due and NOT_HERE not in only_due
    assert remark_on_gaps(dataclasses.replace(full, gone=[2])) == [GONE]


def test_remarks_on_one_state_know_what_it_has_learnt() -> None:
    assert remark_on_row(1, [1.0, 2.0], []) == []
    [due] = remark_on_row(1, [1.0, 2.0, None], [])
    assert NOT_DUE in due and NOT_HERE not in due
    here, dagger = remark_on_row(3, [None, 2.0, 3.0], [1])
    assert NOT_HERE in here and NOT_DUE not in here
    assert dagger == GONE


def test_tables_hold_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tables(gapped_results())
    measured = [
        (str(after), str(task), value)
        for after, row in enumerate(MATRIX)
        for task, value in enumerate(row, start=1)
        if value is not None
    ]
    rows = read_csv(Path("reports/accuracy_matrix.csv"))
    assert [(row["after_task"], row["task"], float(row["accuracy"])) for row in rows] == measured
    means = read_csv(Path("reports/accuracy_over_tasks.csv"))
    assert [float(row["average_accuracy"]) for row in means] == [16.25, 60, 65, 75, 90.3333]
    probes = [row for row in read_csv(Path("reports/probes.csv")) if row["probe"] == "knn"]
    assert [(row["after_task"], row["task"]) for row in probes] == [cell[:2] for cell in measured]
    # One of the two was not measured: its cell is empty.
    assert [row["task_aware"] == "" for row in probes] == [row["task"] == "1" for row in probes]
    states = read_csv(Path("reports/representations.csv"))
    assert [(row["after_task"], row["task"]) for row in states] == [cell[:2] for cell in measured]
    assert {row["rank"] for row in states} == {"12.25"}
    assert {row["consolidation"] for row in states} == {"87.25"}
    assert [(row["after_task"], row["task"]) for row in states if row["cka"]] == [
        (str(after), str(task))
        for after, row in enumerate(CKA, start=1)
        for task, value in enumerate(row, start=1)
        if value is not None
    ]


def test_a_state_of_which_nothing_was_measured_is_in_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [MATRIX[0], [None] * 4, *MATRIX[2:]]
    write_tables(dataclasses.replace(gapped_results(), matrix=rows))
    for name in ("accuracy_matrix.csv", "accuracy_over_tasks.csv"):
        assert {row["after_task"] for row in read_csv(Path("reports") / name)} == set("0234")


def test_a_rank_without_a_cka_and_a_cka_without_a_rank_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = dataclasses.replace(
        make_results(1),
        ranks=[[None], [None]],
        changes=[FeatureChange([0.5], None)],
        consolidation=[[None], [None]],
    )
    write_tables(results)
    assert read_csv(Path("reports/representations.csv")) == [
        {"after_task": "1", "task": "1", "rank": "", "cka": "0.5", "consolidation": ""}
    ]


def test_markdown_has_dashes_and_a_dagger_and_says_why() -> None:
    text = tables.markdown(gapped_results(), "0123")
    names = " | ".join(f"{task} · kind {task}.0, kind {task}.1" for task in (2, 3, 4))
    assert f"| | 1 · kind 1.0, kind 1.1 † | {names} | mean |" in text
    assert "| after task 1 | 80.0 | 40.0 | – | – | 60.0 |" in text
    assert "| after task 4 | – | 81.0 | 91.0 | 99.0 | 90.3 |" in text
    # Rank and CKA: neither, both, and a rank alone; then consolidation.
    assert "| after task 1 | 12.2 / 0.50 | 12.2 / 0.50 | – | – | 87.2 |" in text
    assert "| after task 2 | 12.2 / 0.50 | 12.2 / 0.50 | 12.2 / – | – | 87.2 |" in text
    for remark in remark_on_gaps(gapped_results()):
        assert f"\n\n{remark}\n\n" in text
    assert "not measured" not in tables.markdown(make_results(), "0123")


def test_the_terminal_has_dashes_and_a_dagger_and_says_why() -> None:
    console = Console(file=io.StringIO(), width=200)
    terminal.print_results(gapped_results(), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "kind 1.1 †" in text
    assert re.search(r"after task 1 +│ +80.0 │ +40.0 │ +– │ +– │ +60.0", text)
    for remark in remark_on_gaps(gapped_results()):
        assert " ".join(remark.split()) in " ".join(text.split())


def test_the_page_has_dashes_and_a_dagger_and_says_why() -> None:
    results = gapped_results()
    text = render_page(results, make_extras(results))
    page = Parsed(text)
    cells = [a for a in page.all("td") if "cell" in str(a.get("class", ""))]
    missing = ["unmeasured" in str(cell["class"]) for cell in cells]
    assert missing == [value is None for row in MATRIX for value in row]
    assert ["style" in cell for cell in cells] == [not gap for gap in missing]
    assert page.said("span").count("(not measured)") == 5
    assert "1 · kind 1.0, kind 1.1 †" in page.said("th")
    assert '<td class="mean">90.3</td>' in text
    for remark in remark_on_gaps(results):
        assert remark in page.said("p")
    assert "the mean of the tasks measured" in text
    assert "tasks measured, at the end; more is better" in page.said("dd")
    assert "after all tasks not measured" in text  # the bars, in words
    without_images = re.sub(r"base64,[^\"]*", "", text)
    assert "nan" not in without_images and "None" not in without_images


def test_a_page_of_all_accuracies_says_nothing_of_gaps() -> None:
    text = render_page(make_results(), make_extras(make_results()))
    assert "not measured" not in text and "†" not in text
    assert "Thick: the mean of all tasks" in text


def test_another_run_s_gaps_are_said_and_not_compared() -> None:
    results = gapped_results()
    whole = [[90.0] * 4 for _ in MATRIX]
    beside = dataclasses.replace(make_extras(results), against=other_run(results, matrix=whole))
    page = Parsed(render_page(results, beside))
    [said] = [text for text in page.said("p") if "Not the same accuracies" in text]
    assert (
        "What a run lacks and another one has: this run (state after task 1 on task 3 (kind 3.0, kind 3.1) and task 4 "
        in said
    )
    marks = [text for text in page.said("text") if re.search(r"\([+-]", text)]
    assert marks == ["81.0 (-9.0)", "91.0 (+1.0)", "99.0 (+9.0)"]
    same = dataclasses.replace(make_extras(results), against=other_run(results, matrix=MATRIX))
    assert "Not the same accuracies" not in render_page(results, same)


def test_the_heatmap_writes_a_dash_and_colours_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[tuple[int, int], str] = {}
    drawn: list[AxesImage] = []
    write, draw = Axes.text, Axes.imshow

    def noted_text(self: Axes, x: int, y: int, text: str, **options: object) -> object:
        written[y, x] = text
        return write(self, x, y, text, **options)

    def noted_image(self: Axes, values: object, **options: object) -> AxesImage:
        drawn.append(draw(self, values, **options))
        return drawn[-1]

    monkeypatch.setattr(Axes, "text", noted_text)
    monkeypatch.setattr(Axes, "imshow", noted_image)
    plots.draw_accuracy_matrix(gapped_results(), tmp_path / "matrix.png")
    gaps = np.array([[value is None for value in row] for row in MATRIX])
    found = np.array([[written[after, task] == "–" for task in range(4)] for after in range(5)])
    assert (found == gaps).all()
    assert (np.ma.getmaskarray(drawn[0].get_array()) == gaps).all()
    assert drawn[0].get_clim() == (5, 99)


def test_curves_are_drawn_with_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[float]] = []
    plot = Axes.plot

    def noted(self: Axes, *values: object, **options: object) -> object:
        if isinstance(values[1], list) and len(values[1]) == len(MATRIX):
            lines.append(values[1])
        return plot(self, *values, **options)

    monkeypatch.setattr(Axes, "plot", noted)
    plots.draw_accuracy_over_tasks(gapped_results(), tmp_path / "curves.png")
    means, *tasks = lines
    assert means == pytest.approx([16.25, 60, 65, 75, 271 / 3])
    for task, line in enumerate(tasks):
        column = [math.nan if row[task] is None else row[task] for row in MATRIX]
        assert line == pytest.approx(column, nan_ok=True)


def test_a_point_that_no_line_reaches_gets_a_dot() -> None:
    nan = math.nan
    assert alone_in_line([1.0, nan, 2.0, 3.0]) == [0]
    assert alone_in_line([nan, 1.0, nan, 2.0]) == [1, 3]
    assert alone_in_line([1.0]) == [0]
    assert alone_in_line([1.0, 2.0]) == alone_in_line([nan]) == alone_in_line([]) == []
