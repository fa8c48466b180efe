"""reports/report.html: one page that needs no network and no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.artifacts.features import Features
from pipeline.artifacts.split import fingerprint_stream, shared_test
from pipeline.config.overrides import flatten
from pipeline.reporting import probe_tables as evaluation_tables
from pipeline.reporting import transfer
from pipeline.reporting.below_random import warn_of_shortfalls
from pipeline.reporting.comparing.measured_cells import remark_on_measured
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.costs import sum_costs
from pipeline.reporting.gaps import remark_on_gaps
from pipeline.reporting.page import bars, curves, feature_map
from pipeline.reporting.page.against import different_params
from pipeline.reporting.page.headline import headline_metrics
from pipeline.reporting.page.rendering import open_templates
from pipeline.reporting.page.stream_chart import draw_stream_chart
from pipeline.reporting.page.svg import series_color
from pipeline.reporting.results import Cells, Results
from pipeline.reporting.start import name_start
from pipeline.reporting.tables import matrix_cells
from pipeline.reporting.task_contents import (
    describe_tasks,
    fingerprint_tested,
    remark_on_tasks,
    tasks_heading,
)
from pipeline.reporting.task_names import ROOM, name_stream
from pipeline.reporting.text_formats import show_controls, split_command

MAP_ROOM = 20  # characters of a task's name in a map
SWEPT = ("dataset", "scenario", "num_tasks", "method", "strategy", "distill_weight", "seed")
EPOCH_CURVES = (
    (
        "projection_rank",
        "Effective rank of the projections",
        "effective rank",
        "RankMe of the last batch of each epoch; it falls when the projections collapse.",
    ),
    (
        "projection_std",
        "Spread of the projections",
        "spread (1: even, 0: collapse)",
        "Standard deviation of the unit vectors' dimensions, times √D, in the last batch of "
        "each epoch.",
    ),
    (
        "learning_rate",
        "Learning rate",
        "learning rate",
        "At the end of each epoch; the schedule starts anew with each task.",
    ),
)


ABOUT_MEASURED = (
    "On a fixed sample of the images of the tasks so far, which is smaller than what the matrix is "
    "measured on, and knows no class of a later task: for the course, not for tables."
)


@dataclass(frozen=True)
class Extras:
    """The page's content besides the results.

    Attributes:
        revision: what the code is called.
        class_names: the data set's class names, by label.
        state_bytes: the size of each state file in bytes, state 0 first; None for
            a missing file.
        view_strips: one PNG a task; None if they were not drawn.
        features: the features of the last state; None if they were not kept.
        against: a run to compare with this one.
    """

    revision: str
    class_names: Sequence[str]
    state_bytes: Sequence[int | None]
    view_strips: Sequence[bytes] | None = None
    features: Features | None = None
    against: Run | None = None


def render_page(results: Results, extras: Extras) -> str:
    """Return the page as HTML; the same results give the same text."""
    against, params = extras.against, results.params
    return (
        open_templates()
        .get_template("page.html")
        .render(
            params=params,
            stream=name_stream(params["scenario"]),
            swept=[name for name in SWEPT if name in params],
            all_params=[(name, _text(value)) for name, value in flatten(params)],
            protocol=results.protocol,
            results=results,
            task_names=results.name_tasks(ROOM[1]),
            holdings=describe_tasks(results.splits, results.labelled),
            what_tasks_are=tasks_heading(results.splits),
            stream_chart=draw_stream_chart(results),
            gap_remarks=remark_on_gaps(results),
            remarks=remark_on_tasks(results.splits, results.labelled),
            against=against,
            **(_describe_accuracies(results, against) if results.has_accuracies else {}),
            transfer=_describe_transfer(results),
            loss_curves=curves.draw_losses(results),
            epoch_curves=_epoch_curves(results),
            view_strips=_data_uris(extras.view_strips),
            maps=_maps(extras.features, results, extras.class_names),
            state_bytes=extras.state_bytes,
            cost=sum_costs(results.timings),
            fingerprint=fingerprint_stream(results.splits)["train"],
            tested=fingerprint_tested(results.splits, results.labelled),
            revision=extras.revision,
        )
    )


def _describe_accuracies(results: Results, against: Run | None) -> dict[str, object]:
    """Return what the page says of the accuracies, where any was measured."""
    shown_bars = bars.build_bars(results, against)
    warning = warn_of_shortfalls(results.matrix, results.say_task, results.row_name(0))
    return {
        "warning": split_command(warning) if warning else None,
        "measured_remarks": _remark_on_both(results, against),
        "headline_metrics": headline_metrics(results, against),
        "different": different_params(results.params, against.params) if against else [],
        "shares": _shares(results.shown),
        "matrix_cells": matrix_cells(results)[1],
        "accuracy_curves": curves.draw_accuracy(results, against),
        "forgetting_curve": curves.draw_forgetting(results, against),
        "bars": shown_bars,
        "bar_chart": bars.draw_bar_chart(results, shown_bars, difference=against is not None),
        "probes": {
            "about": evaluation_tables.explain_columns(results),
            "columns": evaluation_tables.probe_columns(results),
            "rows": evaluation_tables.probe_rows(results),
        },
        "inside": {
            "about": evaluation_tables.explain_representations(results),
            "columns": evaluation_tables.representation_columns(results),
            "rows": evaluation_tables.representation_rows(results),
        },
    }


def _describe_transfer(results: Results) -> dict[str, object] | None:
    """Return what there is of data beside the stream; None: there are none."""
    if not results.transfer:
        return None
    return {
        "heading": transfer.HEADING,
        "about": transfer.explain_transfer(results),
        "columns": [(show_controls(d), probe) for d, probe in transfer.transfer_columns(results)],
        "rows": transfer.transfer_rows(results),
        "curve": curves.draw_transfer(results),
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _shares(matrix: Cells) -> list[list[int | None]]:
    """Return each value's position between the lowest and the highest, in percent."""
    values = [value for row in matrix for value in row if value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = (high - low) or 1.0
    return [
        [None if value is None else round(100 * (value - low) / span) for value in row]
        for row in matrix
    ]


def _remark_on_both(results: Results, against: Run | None) -> list[str]:
    if against is None:
        return []
    matrices = {"this run": results.matrix, against.name: against.matrix}
    starts = {"this run": results.row_name(0), against.name: name_start(against.params)}
    return remark_on_measured(matrices, starts, say_task=results.say_task)


def _epoch_curves(results: Results) -> list[tuple[str, Markup, str]]:
    """Return title, chart and caption of what probes have measured, and of columns in the logs."""
    measured = [
        (f"Accuracy while training, by {probe}", chart, ABOUT_MEASURED)
        for probe, chart in curves.draw_measured(results)
    ]
    drawn = [
        (title, curves.draw_column(results, column, title, unit), caption)
        for column, title, unit, caption in EPOCH_CURVES
    ]
    shown = [(title, chart, caption) for title, chart, caption in drawn if chart is not None]
    return measured + shown


def _data_uris(strips: Sequence[bytes] | None) -> list[str]:
    return [f"data:image/png;base64,{base64.b64encode(strip).decode()}" for strip in strips or ()]


def _maps(
    features: Features | None, results: Results, class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Return the feature maps by class, and by task unless tasks share a test set, with legends."""
    if features is None or len(features.features) == 0:
        return []
    points, shares = feature_map.project_to_plane(features.features)
    task_names = results.name_tasks(MAP_ROOM)
    maps: list[dict[str, object]] = []
    for what, groups, names in (
        ("task", features.tasks - 1, task_names),
        ("class", features.labels, [show_controls(name) for name in class_names]),
    ):
        if what == "task" and shared_test(results.splits):
            continue
        described = (
            f"The test images' features on their two main directions, coloured by {what}. "
            f"The directions hold {shares[0]:.0f} % and {shares[1]:.0f} % of the variance."
        )
        chart = feature_map.draw_scatter(
            f"map-{what}", f"Features by {what}", described, points, groups, names
        )
        legend = [(name, series_color(index, len(names))) for index, name in enumerate(names)]
        maps.append({"what": what, "chart": chart, "legend": legend, "shares": shares})
    return maps
