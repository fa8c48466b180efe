"""What each task holds of each class, as a heat map on the page."""

from __future__ import annotations

from collections import defaultdict

from markupsafe import Markup

from pipeline.reporting.chart_labels import shorten_label
from pipeline.reporting.page.svg import CHARACTER, Drawing, format_number
from pipeline.reporting.results import Results
from pipeline.reporting.stream_map import TITLE, StreamMap, count_stream

WIDTH, TALLEST = 440, 420
ROW = 20  # the height of a class whose name is written
AXIS = 36
MOST_NAMED = TALLEST // ROW
MOST_NUMBERED = 20  # tasks whose numbers are all written
ROOM = 15  # characters of a class's name
SHADES = 10  # the cells of a shade are one path, so that a thousand classes stay small


def draw_stream_chart(results: Results) -> Markup:
    """Draw the numbers as shades, and as text where there is room; no image, no shade."""
    held = count_stream(results.splits)
    classes, tasks = len(held.names), results.num_tasks
    named = classes <= MOST_NAMED
    row = ROW if named else TALLEST / classes
    left = CHARACTER * min(ROOM, max(len(name) for name in held.names)) + 8 if named else 32.0
    column, bottom = (WIDTH - left) / tasks, row * classes
    drawing = Drawing("stream", WIDTH, bottom + AXIS, TITLE, _describe(results, held))
    for shade, marks in _shade_cells(held, left, column, row).items():
        color = f"color-mix(in oklab, var(--heat-high) {shade}%, var(--heat-low))"
        drawing.add("path", "bar", color=color, d=marks)
    drawing.add("rect", "frame", x=left, y=0, width=WIDTH - left, height=bottom)
    if named:
        for place, name in enumerate(held.names):
            text = shorten_label(name, ROOM)
            drawing.add("text", "end", text, x=left - 8, y=(place + 0.7) * row)
    else:
        text = f"{classes} classes"
        middle = bottom / 2
        turned = f"rotate(-90 16 {format_number(middle)})"
        drawing.add("text", "middle muted", text, x=16, y=middle, transform=turned)
    if named and column >= CHARACTER * (len(str(held.most)) + 0.5):
        for place, counts in enumerate(held.counts):
            for task, count in enumerate(counts):
                if count:
                    x, y = left + (task + 0.5) * column, (place + 0.7) * row
                    drawing.add("text", "middle small", str(count), x=x, y=y)
    step = -(-tasks // MOST_NUMBERED)
    for task in range(0, tasks, step):
        x = left + (task + 0.5) * column
        drawing.add("text", "middle muted small", str(task + 1), x=x, y=bottom + 15)
    middle = (left + WIDTH) / 2
    drawing.add("text", "middle muted", "task", x=middle, y=bottom + 32)
    return drawing.markup()


def _shade_cells(held: StreamMap, left: float, column: float, row: float) -> dict[int, str]:
    """Return the outlines of the cells of each shade, in percent of the darkest."""
    marks: dict[int, str] = defaultdict(str)
    for place, counts in enumerate(held.counts):
        for task, count in enumerate(counts):
            if count:
                shade = -(-SHADES * count // held.most) * 100 // SHADES
                x, y = format_number(left + task * column), format_number(place * row)
                width, height = format_number(column), format_number(row)
                marks[shade] += f"M{x} {y}h{width}v{height}h-{width}z"
    return dict(sorted(marks.items()))


def _describe(results: Results, held: StreamMap) -> str:
    """Return the numbers of images and classes of each task in words."""
    columns = list(zip(*held.counts, strict=True))
    each = [
        f"{results.say_task(task)} holds {sum(column)} of {sum(map(bool, column))} classes"
        for task, column in enumerate(columns, start=1)
    ]
    return f"Numbers of training images: {'; '.join(each)}."
