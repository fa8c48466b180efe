"""What each task holds of each class, as PNG."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.plots import make_figure, name_some, save_figure
from pipeline.reporting.results import Results
from pipeline.reporting.stream_map import TITLE, count_stream
from pipeline.reporting.text_formats import escape_plot

MOST_NUMBERED = (12, 25)  # tasks and classes of which each number is written
ROOM = 24  # characters of a class's name


def draw_stream(results: Results, path: Path) -> None:
    """Draw what each task holds as a heat map, with numbers where there is room; none is white."""
    held = count_stream(results.splits)
    tasks, classes = results.num_tasks, len(held.names)
    written = tasks <= MOST_NUMBERED[0] and classes <= MOST_NUMBERED[1]
    figure = make_figure(
        min(3.2 + 0.55 * tasks, 7.5), min(1.5 + (0.28 if written else 0.14) * classes, 7)
    )
    axes = figure.add_subplot()
    shown = [[count or math.nan for count in row] for row in held.counts]
    image = axes.imshow(shown, cmap="cividis_r", aspect="auto", vmin=0, vmax=held.most)
    for place, row in enumerate(held.counts if written else []):
        for task, count in enumerate(row):
            if count:
                color = "k" if count < held.most / 2 else "w"
                axes.text(
                    task, place, str(count), ha="center", va="center", color=color, fontsize=8
                )
    across, down = name_some(tasks), name_some(classes, whole=MOST_NUMBERED[1])
    axes.set_xticks(across, [str(task + 1) for task in across])
    named = [escape_plot(shorten_label(held.names[place], ROOM)) for place in down]
    axes.set_yticks(down, named, fontsize=8)
    axes.set_xlabel("task")
    axes.set_title(TITLE, fontsize=9)
    figure.colorbar(image, label="training images")
    save_figure(figure, path)
