"""Horizontal bars of each task's final accuracy; they fit a phone for any number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.metrics.accuracy_matrix import best_measured
from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.gaps import format_cell
from pipeline.reporting.page.svg import CHARACTER, Drawing, Scale
from pipeline.reporting.results import Results

WIDTH = 440
BAR, GAP = 14, 3
HEADING, BETWEEN = 22, 16
AXIS = 26
NUMBER = 6  # characters of a task's number and dagger
VALUES = 104  # room for the numbers beside the bars


@dataclass(frozen=True)
class Bar:
    """One bar for each task.

    Attributes:
        name: its name in the legend.
        color: a CSS colour.
        values: percent, one a task; None: not measured.
    """

    name: str
    color: str
    values: Sequence[float | None]


def build_bars(results: Results, against: Run | None) -> list[Bar]:
    """Return the bars of this run and of another run, or of state 0 and the best."""
    last = results.matrix[-1]
    this = str(results.params["strategy"])
    if against is not None:
        return [
            Bar(f"this run ({this})", "var(--this)", last),
            Bar(against.name, "var(--other)", against.matrix[-1]),
            Bar(results.row_name(0), "var(--faint)", results.matrix[0]),
        ]
    shown = [
        Bar("after all tasks", "var(--this)", last),
        Bar(results.row_name(0), "var(--faint)", results.matrix[0]),
    ]
    if len(results.matrix) > 2:
        best = [best_measured(results.matrix, task) for task in range(results.num_tasks)]
        shown.insert(1, Bar("best after any task", "var(--best)", best))
    return shown


def draw_bar_chart(results: Results, bars: Sequence[Bar], difference: bool) -> Markup:
    """Draw the bars task by task, from 0 to 100 percent.

    Args:
        results: the results, for the tasks' names.
        bars: the bars; the first is this run's.
        difference: whether to write the difference of the first to the second, where both
            were measured.
    """
    block = HEADING + len(bars) * (BAR + GAP) + BETWEEN
    room = int(WIDTH / CHARACTER)
    by_task = results.tested_by_task
    headings = results.name_tasks(room - NUMBER) if by_task else results.tested_on
    height = len(headings) * block + AXIS
    described = "; ".join(
        f"{heading}: " + ", ".join(f"{bar.name} {_say(bar.values[task])}" for bar in bars)
        for task, heading in enumerate(headings)
    )
    drawing = Drawing("bars", WIDTH, height, "Accuracy on each task at the end", f"{described}.")
    x = Scale(0, 100, 0, WIDTH - VALUES)
    bottom = height - AXIS
    for mark in (0, 25, 50, 75, 100):
        drawing.add("line", "grid", x1=x(mark), y1=0, x2=x(mark), y2=bottom)
        text = f"{mark} %" if mark == 100 else str(mark)
        drawing.add("text", "muted" if mark == 0 else "middle muted", text, x=x(mark), y=height - 8)
    for task, heading in enumerate(headings):
        top = task * block
        drawing.add("text", "bold backed", shorten_label(heading, room), x=0, y=top + 15)
        for index, bar in enumerate(bars):
            above = top + HEADING + index * (BAR + GAP)
            value = bar.values[task]
            hint = f"{heading}, {bar.name}: {_say(value)}"
            width = x(value or 0.0)
            if value is not None:
                drawing.add(
                    "rect", "bar", hint=hint, color=bar.color, x=0, y=above, width=width, height=BAR
                )
            text = format_cell(value)
            other = bars[1].values[task]
            if difference and index == 0 and value is not None and other is not None:
                text += f" ({value - other:+.1f})"
            weight = "bold" if index == 0 else ""
            drawing.add("text", weight, text, x=width + 6, y=above + BAR - 3)
    return drawing.markup()


def _say(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} %"
