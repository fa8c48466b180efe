"""Inline SVG: elements, scales and ticks. Colours come from the page's style sheet.

Inline SVG rather than images of plots: it follows dark mode and print through CSS variables,
its text stays text, and the same figures give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

CHARACTER = 8.0  # room for a character in user units, at the largest size of the style sheet
SERIES = 10  # colours of the style sheet


def format_number(value: float) -> str:
    """Return a coordinate with one decimal, without needless digits."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def series_color(index: int, count: int) -> str:
    """Return the colour of one of ``count`` groups, from 0.

    Up to ten come from the style sheet; more are hues of one lightness, apart from their
    neighbours (the golden angle), which can be seen on light and on dark.
    """
    if count <= SERIES:
        return f"var(--series-{index + 1})"
    return f"oklch(0.62 0.15 {format_number(index * 137.5 % 360)})"


@dataclass(frozen=True)
class Scale:
    """From values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round values from at or below ``low`` to at or above ``high``."""
    span = (high - low) or max(abs(high), 1.0)
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(index * step, 10) for index in range(first, last + 1)]


class Drawing:
    """An SVG image with a title and a description for those who cannot see it.

    Args:
        name: unique on the page.
        width: in user units.
        height: in user units.
        title: what it is.
        description: what it shows.
    """

    def __init__(self, name: str, width: float, height: float, title: str, description: str):
        self.root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {format_number(width)} {format_number(height)}",
                "role": "img",
                "aria-labelledby": f"{name}-title {name}-description",
            },
        )
        ElementTree.SubElement(self.root, "title", {"id": f"{name}-title"}).text = title
        described = ElementTree.SubElement(self.root, "desc", {"id": f"{name}-description"})
        described.text = description

    def add(
        self,
        tag: str,
        kind: str,
        text: str = "",
        *,
        hint: str = "",
        colour: str = "",
        **places: str | float,
    ) -> None:
        """Add an element.

        Args:
            tag: its name.
            kind: its classes in the style sheet.
            text: what it says.
            hint: shown when the pointer rests on it.
            colour: as CSS has it.
            places: its other attributes; numbers are rounded to one decimal.
        """
        values = {"class": kind} if kind else {}
        if colour:
            values["style"] = f"--colour: {colour}"
        for key, value in places.items():
            values[key] = value if isinstance(value, str) else format_number(value)
        element = ElementTree.SubElement(self.root, tag, values)
        element.text = text or None
        if hint:
            ElementTree.SubElement(element, "title").text = hint

    def path(
        self, kind: str, points: Sequence[tuple[float, float]], *, hint: str, colour: str
    ) -> None:
        """Add a line through points; a point whose place is not finite interrupts it."""
        steps, pen_down = [], False
        for x, y in points:
            if not math.isfinite(y):
                pen_down = False
                continue
            steps.append(f"{'L' if pen_down else 'M'}{format_number(x)} {format_number(y)}")
            pen_down = True
        if steps:
            self.add("path", kind, hint=hint, colour=colour, d="".join(steps))

    def markup(self) -> Markup:
        """Return the element, escaped where it has to be."""
        return Markup(ElementTree.tostring(self.root, encoding="unicode"))
