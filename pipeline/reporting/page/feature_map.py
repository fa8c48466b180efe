"""A scatter plot of the features on their two principal directions, coloured by group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.reporting.chart_labels import spread_labels
from pipeline.reporting.page.svg import CHARACTER, Drawing, Scale, format_number, series_color

WIDTH, HEIGHT = 440, 380
MARGIN = 12
POINTS = 2000  # more would only lie on top of each other
NAMED = 12  # names are written for at most so many groups
LAYERS = 5  # groups are drawn in turns, so that the last one does not cover the others


def project_to_plane(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], list[float]]:
    """Project features on their two principal directions.

    Args:
        features: ``(M, F)``.

    Returns:
        The projections ``(M, 2)``, and each direction's share of the variance in percent. The
        sign of a direction makes its largest entry positive.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    plane = np.zeros((features.shape[1], 2))
    kept = min(2, features.shape[1])
    plane[:, :kept] = directions[:, ::-1][:, :kept]
    largest = np.abs(plane).argmax(axis=0)
    signs = np.sign(plane[largest, [0, 1]])
    total = float(variances.sum()) or 1.0
    shares = [max(0.0, 100 * float(value) / total) for value in variances[::-1][:2]]
    return centred @ (plane * np.where(signs == 0, 1.0, signs)), [*shares, 0.0][:2]


def draw_scatter(
    name: str,
    title: str,
    description: str,
    points: NDArray[np.float64],
    groups: NDArray[np.int64],
    names: Sequence[str],
) -> Markup:
    """Draw points in the colours of their groups.

    Args:
        name: the chart's name, unique on the page.
        title: the chart's title.
        description: its content in words.
        points: ``(M, 2)``; at most ``POINTS`` evenly chosen ones are drawn.
        groups: the group of each point, ``(M,)``, from 0.
        names: the names of the groups.
    """
    drawing = Drawing(name, WIDTH, HEIGHT, title, description)
    drawing.add("rect", "frame", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1)
    (left, low), (right, high) = points.min(axis=0), points.max(axis=0)
    x = Scale(float(left), float(right), MARGIN, WIDTH - MARGIN)
    y = Scale(float(low), float(high), HEIGHT - MARGIN, MARGIN)
    count = min(POINTS, len(points))
    chosen = np.linspace(0, len(points) - 1, count).round().astype(int)
    for layer in range(LAYERS):
        for group, group_name in enumerate(names):
            held = chosen[groups[chosen] == group][layer::LAYERS]
            if len(held) == 0:
                continue
            marks = "".join(
                f"M{format_number(x(h))} {format_number(y(v))}h0" for h, v in points[held].tolist()
            )
            shade = series_color(group, len(names))
            drawing.add("path", "points", hint=group_name, color=shade, d=marks)
    if len(names) <= NAMED:
        _write_names(drawing, points, groups, names, x, y)
    return drawing.markup()


def _write_names(
    drawing: Drawing,
    points: NDArray[np.float64],
    groups: NDArray[np.int64],
    names: Sequence[str],
    x: Scale,
    y: Scale,
) -> None:
    """Write each group's name at the median of its points."""
    present = [group for group in range(len(names)) if (groups == group).any()]
    middles = [np.median(points[groups == group], axis=0).tolist() for group in present]
    lifted = spread_labels([HEIGHT - y(middle[1]) for middle in middles], 17)
    excess = max([0.0, *(height - (HEIGHT - 2 * MARGIN) for height in lifted)])
    for group, middle, height in zip(present, middles, lifted, strict=True):
        half = len(names[group]) * CHARACTER / 2 + 4
        centre = min(max(x(middle[0]), half), WIDTH - half)
        place = HEIGHT - height + excess + 4
        shade = series_color(group, len(names))
        drawing.add("text", "middle bold halo name", names[group], color=shade, x=centre, y=place)
