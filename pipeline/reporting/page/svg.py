"""Inline SVG: elements, scales and ticks. Colours come from the page's style sheet.

Inline SVG rather than images of plots: it follows dark mode and print through CSS variables,
its text stays text, and the same numbers give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

CHARACTER = 8.0  # width of a character in user units, at the style sheet's largest font size
SERIES = 10  # colours of the style sheet


def format_number(value: float) -> str:
    """Return a coordinate as text, with at most one decimal."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def series_color(index: int, count: int) -> str:
    """Return the CSS colour of group ``index`` of ``count``, from 0.

    Up to ten colours come from the style sheet. More are hues of equal lightness, a golden
    angle apart, visible on light and on dark.
    """
    if count <= SERIES:
        return f"var(--series-{index + 1})"
    return f"oklch(0.62 0.15 {format_number(index * 137.5 % 360)})"


@dataclass(frozen=True)
class Scale:
    """A linear map from values to coordinates."""

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
    """Return equidistant round values that cover ``low`` to ``high``."""
    span = (high - low) or max(abs(high), 1.0)
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(index * step, 10) for index in range(first, last + 1)]


class Drawing:
    """An SVG image with title and description for screen readers.

    Args:
        name: the image's name, unique on the page.
        width: width in user units.
        height: height in user units.
        title: the image's title.
        description: its content in words.
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
        color: str = "",
        **places: str | float,
    ) -> None:
        """Add an element.

        Args:
            tag: the element's tag.
            kind: its CSS classes.
            text: its text.
            hint: its tooltip.
            color: a CSS colour.
            places: its other attributes; numbers are rounded to one decimal.
        """
        values = {"class": kind} if kind else {}
        if color:
            values["style"] = f"--colour: {color}"
        for key, value in places.items():
            values[key] = value if isinstance(value, str) else format_number(value)
        element = ElementTree.SubElement(self.root, tag, values)
        element.text = text or None
        if hint:
            ElementTree.SubElement(element, "title").text = hint

    def path(
        self, kind: str, points: Sequence[tuple[float, float]], *, hint: str, color: str
    ) -> None:
        """Add a line through points; a y that is not finite interrupts it."""
        steps, pen_down = [], False
        for x, y in points:
            if not math.isfinite(y):
                pen_down = False
                continue
            steps.append(f"{'L' if pen_down else 'M'}{format_number(x)} {format_number(y)}")
            pen_down = True
        if steps:
            self.add("path", kind, hint=hint, color=color, d="".join(steps))

    def markup(self) -> Markup:
        """Return the SVG element as escaped markup."""
        return Markup(ElementTree.tostring(self.root, encoding="unicode"))
