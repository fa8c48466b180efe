"""Markers of points, which tell lines apart without their colours."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.reporting.page.svg import Drawing, format_number

CIRCLE = "circle"
# Corners of the other shapes, in radii from the middle; all of about the same area.
SHAPES: dict[str, Sequence[tuple[float, float]]] = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
    "up": [(0, -1.3), (1.25, 0.95), (-1.25, 0.95)],
    "down": [(0, 1.3), (1.25, -0.95), (-1.25, -0.95)],
    "plus": [
        (-0.4, -1.3), (0.4, -1.3), (0.4, -0.4), (1.3, -0.4), (1.3, 0.4), (0.4, 0.4),
        (0.4, 1.3), (-0.4, 1.3), (-0.4, 0.4), (-1.3, 0.4), (-1.3, -0.4), (-0.4, -0.4),
    ],
    "cross": [
        (-1.2, -0.65), (-0.65, -1.2), (0, -0.55), (0.65, -1.2), (1.2, -0.65), (0.55, 0),
        (1.2, 0.65), (0.65, 1.2), (0, 0.55), (-0.65, 1.2), (-1.2, 0.65), (-0.55, 0),
    ],
}  # fmt: skip
MARKERS = (CIRCLE, *SHAPES)


def draw_marker(
    drawing: Drawing, shape: str, x: float, y: float, radius: float, *, hint: str, color: str
) -> None:
    """Draw a marker around a point.

    Args:
        drawing: the image.
        shape: one of ``MARKERS``.
        x: the point's position across, in user units.
        y: its position down.
        radius: of a circle; other shapes have about its area.
        hint: its tooltip.
        color: a CSS colour.
    """
    if shape == CIRCLE:
        drawing.add("circle", "dot", hint=hint, color=color, cx=x, cy=y, r=radius)
        return
    corners = [
        f"{format_number(x + radius * across)} {format_number(y + radius * down)}"
        for across, down in SHAPES[shape]
    ]
    drawing.add("path", "dot", hint=hint, color=color, d=f"M{'L'.join(corners)}Z")
