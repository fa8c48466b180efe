"""What a comparison's figures show, apart from how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.reporting.comparing.comparison import ComparisonTable, Row
from pipeline.reporting.comparing.comparison_tables import TextTable, name_row
from pipeline.reporting.page.markers import MARKERS
from pipeline.reporting.page.svg import series_color
from pipeline.reporting.start import PRETRAINED, RANDOM_NETWORK
from pipeline.reporting.text_formats import show_controls

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """The colour and the marker of a strategy, the same in all figures of a table.

    Attributes:
        index: which of the strategies it is, from 0.
        count: the number of strategies.
    """

    index: int
    count: int

    @property
    def color(self) -> str:
        """The CSS colour."""
        return series_color(self.index, self.count)

    @property
    def marker(self) -> str:
        """The shape, one of ``MARKERS``."""
        return MARKERS[self.index % len(MARKERS)]


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval.

    Attributes:
        name: what it is of.
        style: its colour and marker.
        value: the value.
        bounds: the interval; None: there is none.
        points: the values of the single seeds.
        text: value and interval as text.
    """

    name: str
    style: Style
    value: float
    bounds: Bounds | None
    points: Sequence[float]
    text: str


@dataclass(frozen=True)
class IntervalChart:
    """Values with their intervals below each other.

    Attributes:
        name: the chart's name, unique on the page.
        title: its title.
        label: the horizontal axis with its unit and the better direction.
        groups: the rows of each method, with the method as heading.
        zero: whether 0 is on the axis, with a line.
        ticks: positions on the axis; None: round ones.
    """

    name: str
    title: str
    label: str
    groups: Sequence[tuple[str, Sequence[IntervalRow]]]
    zero: bool = False
    ticks: Sequence[float] | None = None


@dataclass(frozen=True)
class Series:
    """Points of one strategy with their intervals.

    Attributes:
        name: the strategy.
        style: its colour and marker.
        points: x and y; a y that is not finite interrupts the line.
        bounds: the interval of each y; None: there is none.
    """

    name: str
    style: Style
    points: Sequence[tuple[float, float]]
    bounds: Sequence[Bounds | None]


@dataclass(frozen=True)
class SeriesChart:
    """Lines or single points over an axis.

    Attributes:
        name: the chart's name, unique on the page.
        title: its title.
        x_label: the horizontal axis.
        y_label: the vertical axis, with its unit.
        series: what is drawn; at least one finite point.
        x_ticks: positions and texts of the horizontal axis.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Figure:
    """Charts that belong together.

    Attributes:
        key: its name in links and files.
        title: its title.
        caption: what is shown, in sentences.
        charts: the charts; none if there is nothing to draw, which the caption explains.
        table: the numbers, where no other table has them.
    """

    key: str
    title: str
    caption: str
    charts: Sequence[IntervalChart | SeriesChart]
    table: TextTable | None = None


def list_methods(table: ComparisonTable) -> list[tuple[str, list[Row]]]:
    """Return the rows of each method with its options, without those of state 0."""
    found: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.cell.strategy not in (RANDOM_NETWORK, PRETRAINED):
            found.setdefault(show_controls(name_row(row)[0]), []).append(row)
    return list(found.items())


def name_strategy(row: Row) -> str:
    """Return a row's strategy with its options, without hidden characters."""
    return show_controls(name_row(row)[1])


def style_rows(table: ComparisonTable) -> dict[str, Style]:
    """Return the style of each strategy with its options, by its name."""
    names = list(
        dict.fromkeys(name_strategy(row) for _, rows in list_methods(table) for row in rows)
    )
    return {name: Style(index, len(names)) for index, name in enumerate(names)}
