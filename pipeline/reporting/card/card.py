"""The model card of an exported backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.artifacts.split import Split, fingerprint_stream, shared_test
from pipeline.files.sealed_json import Json
from pipeline.files.typed_json import get_typed
from pipeline.metrics.accuracy_matrix import average_measured
from pipeline.reporting.below_random import warn_of_shortfalls
from pipeline.reporting.card import snippets
from pipeline.reporting.card.state_metrics import StateMetrics
from pipeline.reporting.gaps import format_cell, remark_on_row
from pipeline.reporting.tables import HEADLINES, headline
from pipeline.reporting.task_contents import describe_tasks, remark_on_tasks, tasks_heading
from pipeline.reporting.task_names import (
    give_room,
    list_names,
    name_dataset,
    name_stream,
    name_task,
    say_task,
)
from pipeline.reporting.text_formats import escape_markdown, escape_warning, format_json


@dataclass(frozen=True)
class Link:
    """A state in the chain that a state comes from, as far as it is known.

    Attributes:
        task: the last task it has learnt.
        content: SHA-256 of its tensors.
        plan: the digest of the plan that made it; None where the state is no longer here.
        split: the digest of the split it has learnt from; None likewise, and of state 0.
    """

    task: int
    content: str
    plan: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Card:
    """The content of a model card.

    Attributes:
        after_task: the last task that the state has learnt; 0 is the random network.
        at_once: whether all tasks were learnt at once.
        params: the planned params.
        dataset: the data set as the plan describes it.
        splits: the tasks' splits.
        backbone: the backbone as the plan describes it.
        num_features: the size of its features.
        chain: the state and those before it, backwards.
        quality: its accuracies and metrics.
        revision: the code's git revision.
        protocol: how the headline probe's accuracies come about.
        files: size in bytes and SHA-256 of each exported file.
    """

    after_task: int
    at_once: bool
    params: Json
    dataset: DatasetPlan
    splits: list[Split]
    backbone: BackbonePlan
    num_features: int
    chain: Sequence[Link]
    quality: StateMetrics
    revision: str
    protocol: str
    files: dict[str, tuple[int, str]]

    @property
    def last(self) -> int:
        """The task number of the run's last state."""
        return 1 if self.at_once else len(self.splits)

    @property
    def shape(self) -> str:
        """Channels, height and width of an image, as ``1, 28, 28``."""
        size = self.dataset.image_size
        return f"{self.dataset.channels}, {size}, {size}"

    def learnt(self, task: int) -> bool:
        """Return whether the state has learnt a task."""
        return task <= self.after_task or (self.at_once and self.after_task > 0)


def render_card(card: Card) -> str:
    """Return the card as Markdown with YAML front matter."""
    parts = [
        _front_matter(card),
        _title(card),
        _tasks(card),
        _quality(card),
        _use(card),
        _recipe(card),
        _origin(card),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _front_matter(card: Card) -> list[str]:
    params = card.params
    trained = [get_typed(params, str, "method"), *_strategies(params)]
    recipe = trained if card.after_task else ["untrained"]
    return [
        "---",
        "library_name: pytorch",
        "pipeline_tag: image-feature-extraction",
        f"datasets: [{params['dataset']}]",
        f"tags: [{', '.join(['self-supervised-learning', 'continual-learning', *recipe])}]",
        "---",
    ]


def _title(card: Card) -> list[str]:
    params, total = card.params, len(card.splits)
    name = f"{card.backbone.name} for {escape_markdown(name_dataset(params))}"
    if card.after_task == 0:
        name += ": the random network"
        how = "It has learnt nothing: others are compared with it."
    elif card.at_once:
        name += f", {params['method']}: {total} tasks at once"
        how = "Trained without labels on all tasks at once."
    else:
        name += f", {params['method']} with {params['strategy']}: "
        name += f"after task {card.after_task} of {total}"
        how = "Trained without labels on tasks that came one after another."
    grey = "grey" if card.dataset.channels == 1 else "RGB"
    size = card.dataset.image_size
    return [
        f"# {name}",
        "",
        f"A backbone: {size}×{size} {grey} images in, {card.num_features} features an image out. "
        f"{how} There is no classifier; train one on the features.",
    ]


def _tasks(card: Card) -> list[str]:
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


def _quality(card: Card) -> list[str]:
    quality = card.quality
    lines = ["## How good it is", ""]
    if quality.accuracy is None:
        return [*lines, "Absent: this state was not evaluated when it was exported."]
    row = quality.accuracy
    if shared_test(card.splits):
        names, cells = ["whole test set"], [format_cell(row[0])]
    else:
        room = give_room(len(row))
        names = [escape_markdown(name_task(each, room, quality.gone)) for each in card.splits]
        names, cells = [*names, "mean"], [format_cell(v) for v in [*row, average_measured(row)]]
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
    if card.after_task and quality.random is not None:
        warning = warn_of_shortfalls([quality.random, row], lambda task: _say_task(card, task))
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


def _say_task(card: Card, task: int) -> str:
    return say_task(task, ", ".join(list_names(card.splits[task - 1])))


def _use(card: Card) -> list[str]:
    spec, features = card.backbone, card.num_features
    lines = [
        "## Use it",
        "",
        "Run these where the files are. `preprocessing.json` says what the network expects of an "
        "image: the weights alone do not contain it, an ONNX model does.",
        "",
        f"In torch (the names of the weights are those of `{spec.path}`, which loads them "
        "strictly as well):",
        "",
        "```python",
        *snippets.torch_snippet(spec, card.shape, features).splitlines(),
        "```",
        "",
    ]
    if "backbone.onnx" not in card.files:
        return [*lines, "This export has no ONNX file."]
    return [
        *lines,
        "In onnxruntime, from bytes to features:",
        "",
        "```python",
        *snippets.onnx_snippet(card.shape, features).splitlines(),
        "```",
    ]


def _recipe(card: Card) -> list[str]:
    lines = ["## Recipe", "", *_choices(card.params), ""]
    if card.after_task == 0:
        lines += ["None of the training below has happened yet.", ""]
    elif card.after_task == 1 and not card.at_once:
        lines += [
            "Strategies look back, so they begin with task 2: this state is the same for all "
            "of them.",
            "",
        ]
    lines += ["All params; options of what is not chosen above had no part in it:", ""]
    return [*lines, "```json", format_json(card.params), "```"]


def _choices(params: Json) -> list[str]:
    """Return one line each for method, strategies and backbone, with their options."""
    chosen = [
        ("method", get_typed(params, str, "method"), "methods"),
        *(("strategy", name, "strategies") for name in _strategies(params)),
        ("backbone", get_typed(params, str, "backbone", "name"), "backbone"),
    ]
    lines = []
    for kind, name, section in chosen:
        given = get_typed(params, dict[str, Any], section)
        options: Mapping[str, Any] = given.get(name) or {}
        shown = ", ".join(f"{key} {json.dumps(value)}" for key, value in options.items())
        lines.append(f"- {kind}: `{name}`" + (f" ({shown})" if shown else ""))
    return lines


def _strategies(params: Json) -> list[str]:
    return get_typed(params, str, "strategy").split("+")


def _origin(card: Card) -> list[str]:
    fingerprint = fingerprint_stream(card.splits)
    lines = [
        "## Where it comes from",
        "",
        f"- code: git revision {card.revision}; MIT licence. The images have terms of their own.",
        f"- images, SHA-256: training {fingerprint['train']}, test {fingerprint['test']}",
        f"- state, SHA-256 of its tensors: {card.chain[0].content}",
        "",
        "Each state was made from the one before it; SHA-256 of its tensors, of the plan (params "
        "and code) and of the split that made it:",
        "",
        "| after task | tensors | plan | split |",
        "| ---: | --- | --- | --- |",
    ]
    for link in card.chain:
        cells = [cell or "" for cell in (link.content, link.plan, link.split)]
        lines.append(f"| {link.task} | " + " | ".join(cell[:16] for cell in cells) + " |")
    lines += ["", "| file | bytes | SHA-256 |", "| --- | ---: | --- |"]
    for name, (size, checksum) in card.files.items():
        lines.append(f"| {name} | {size} | {checksum} |")
    return lines
