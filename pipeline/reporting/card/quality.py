"""The model card's tasks, and the accuracies on them."""

from __future__ import annotations

from pipeline.artifacts.split import shared_test
from pipeline.reporting.below_random import warn_of_shortfalls
from pipeline.reporting.card.contents import Card
from pipeline.reporting.gaps import UNTESTED, remark_on_row
from pipeline.reporting.start import name_start
from pipeline.reporting.tables import HEADLINES, format_rows, headline
from pipeline.reporting.task_contents import (
    are_tested,
    describe_tasks,
    remark_on_tasks,
    tasks_heading,
)
from pipeline.reporting.task_names import (
    give_room,
    name_dataset,
    name_stream,
    name_task,
    say_split,
)
from pipeline.reporting.text_formats import escape_markdown, escape_warning


def list_tasks(card: Card) -> list[str]:
    """Return the section on what the state has learnt from."""
    lines = [
        "## What it has learnt from",
        "",
        f"{escape_markdown(name_dataset(card.params))} "
        f"({'all of it' if card.dataset.full else 'a subset'}), "
        f"{name_stream(card.params['scenario'])}.",
        "",
        f"| task | learnt | {tasks_heading(card.splits)} | training images | test images |",
        "| ---: | --- | --- | ---: | ---: |",
    ]
    labelled = card.quality.labelled
    for held in describe_tasks(card.splits, labelled):
        learnt, name = "yes" if card.learnt(held.task) else "no", escape_markdown(held.name)
        lines.append(f"| {held.task} | {learnt} | {name} | {held.train} | {held.test} |")
    for remark in remark_on_tasks(card.splits, labelled):
        lines += ["", escape_markdown(remark)]
    return lines


def describe_quality(card: Card) -> list[str]:
    """Return the section on how good the state is."""
    quality = card.quality
    lines = ["## How good it is", ""]
    if quality.accuracy is None:
        return [*lines, "Absent: this state was not evaluated when it was exported."]
    if not are_tested(card.splits, quality.labelled):
        return [*lines, UNTESTED]
    row = quality.accuracy
    if shared_test(card.splits):
        names = ["whole test set"]
    else:
        room = give_room(len(row))
        names = [escape_markdown(name_task(each, room, quality.gone)) for each in card.splits]
    names, (cells,) = format_rows(names, [row[: len(names)]])
    lines += [
        f"Accuracy on each task's test images in percent: {card.protocol}.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + " ---: |" * len(names),
        "| " + " | ".join(cells) + " |",
        "",
    ]
    tasks_learnt = sum(card.learnt(split.task) for split in card.splits)
    for remark in remark_on_row(tasks_learnt, row, quality.gone):
        lines += [escape_markdown(remark), ""]
    if card.after_task and quality.start is not None:
        warning = warn_of_shortfalls(
            [quality.start, row],
            lambda task: say_split(card.splits[task - 1]),
            name_start(card.params),
        )
        lines += [escape_warning(warning), ""] if warning else []
    if quality.metrics is not None:
        lines += ["| metric of the whole run | value |", "| --- | ---: |"]
        metrics = quality.metrics
        return [
            *lines,
            *(f"| {title} | {headline(metrics, name)} |" for name, title in HEADLINES.items()),
        ]
    if 0 < card.after_task == card.last:
        return [*lines, "Absent: the metrics of the whole run, such as forgetting."]
    return [*lines, "Metrics of the whole run, such as forgetting, belong to its last state."]
