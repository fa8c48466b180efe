"""The model card of an exported backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.artifacts.public_names import name_in_timm
from pipeline.artifacts.split import fingerprint_stream
from pipeline.files.sealed_json import Json
from pipeline.files.typed_json import get_typed
from pipeline.reporting.card import snippets
from pipeline.reporting.card.contents import Card
from pipeline.reporting.card.quality import describe_quality, list_tasks
from pipeline.reporting.start import name_start
from pipeline.reporting.task_contents import fingerprint_tested
from pipeline.reporting.task_names import name_dataset
from pipeline.reporting.text_formats import escape_markdown, format_json


def render_card(card: Card) -> str:
    """Return the card as Markdown with YAML front matter."""
    parts = [
        _front_matter(card),
        _title(card),
        list_tasks(card),
        describe_quality(card),
        _use(card),
        _recipe(card),
        _origin(card),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _front_matter(card: Card) -> list[str]:
    params = card.params
    trained = [get_typed(params, str, "method"), *_strategies(params)]
    recipe = trained if card.after_task else ["untrained" if card.weights is None else "pretrained"]
    return [
        "---",
        f"library_name: {'timm' if name_in_timm(card.backbone) else 'pytorch'}",
        "pipeline_tag: image-feature-extraction",
        f"datasets: [{params['dataset']}]",
        f"tags: [{', '.join(['self-supervised-learning', 'continual-learning', *recipe])}]",
        "---",
    ]


def _title(card: Card) -> list[str]:
    params, total = card.params, len(card.splits)
    name = f"{card.backbone.name} for {escape_markdown(name_dataset(params))}"
    if card.after_task == 0:
        name += f": the {name_start(params)}"
        how = "It has learnt nothing of this stream: others are compared with it."
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


def _describe_decoding(card: Card) -> list[str]:
    """Return how image files became the pixels that the network has learnt from."""
    if not card.decoding:
        return []
    return [
        "It has learnt from image files that were read so; read yours alike:",
        "",
        *(f"{number}. {step}" for number, step in enumerate(card.decoding, start=1)),
        "",
    ]


def _use(card: Card) -> list[str]:
    spec, features = card.backbone, card.num_features
    lines = [
        "## Use it",
        "",
        "Run these where the files are. `preprocessing.json` says what the network expects of an "
        "image: the weights alone do not contain it, an ONNX model does.",
        "",
        *_describe_decoding(card),
        f"In torch ({snippets.name_origin(spec)}):",
        "",
        "```python",
        *snippets.torch_snippet(spec, card.shape, features).splitlines(),
        "```",
        "",
    ]
    in_timm = snippets.timm_snippet(spec, features)
    if in_timm:
        lines += ["In timm:", "", "```python", *in_timm.splitlines(), "```", ""]
    if "backbone.onnx" not in card.files:
        return [*lines, "This export has no ONNX file."]
    code = snippets.onnx_snippet(card.shape, features, card.onnx_resize)
    what = "bytes" if card.onnx_resize is None else "a file"
    return [
        *lines,
        f"In onnxruntime, from {what} to features:",
        "",
        "```python",
        *code.splitlines(),
        "```",
    ]


def _recipe(card: Card) -> list[str]:
    lines = ["## Recipe", "", *_choices(card.params)]
    if card.weights is not None:
        lines.append(
            f"- begins with the backbone of `{card.weights.source}` "
            f"(SHA-256 {card.weights.digest[:16]}), which has terms of its own"
        )
    lines.append("")
    if card.after_task == 0:
        lines += ["None of the training below has happened yet.", ""]
    elif card.after_task == 1 and not card.at_once and not card.params.get("distill_from_start"):
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
    trained = fingerprint_stream(card.splits)["train"]
    tested = fingerprint_tested(card.splits, card.quality.labelled)
    lines = [
        "## Where it comes from",
        "",
        f"- code: {card.code}; MIT licence. The images have terms of their own.",
        f"- images, SHA-256: training {trained}, test {tested}",
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
