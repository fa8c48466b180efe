"""The page: what is on it, that it stands alone, and that everybody can read it."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.artifacts.features import Features
from pipeline.artifacts.plans.report import Protocol
from pipeline.artifacts.split import Split, fingerprint_stream
from pipeline.artifacts.training_log import Timing
from pipeline.config.registry.probes import PROBES
from pipeline.reporting.comparing.runs import Run
from pipeline.reporting.page.page import Extras, render_page
from pipeline.reporting.page.rendering import TEMPLATES
from pipeline.reporting.representations import FeatureChange
from pipeline.reporting.results import Probed, Results
from tests.support.browser import Browser, find_browser

VOID = {"meta", "link", "img", "br", "hr", "input"}
DRAWING = {"svg", "rect", "line", "path", "circle", "text", "title", "desc"}


def make_results(tasks: int = 3, classes: int = 2, at_once: bool = False) -> Results:
    random = np.random.default_rng(0)
    rows = 2 if at_once else tasks + 1
    epochs = [
        {"task": str(task), "epoch": str(epoch), "step": "5", "loss": "4.5", "ssl": "3.25",
         "distill": "1.25" if task > 1 else "", "projection_std": "0.9",
         "projection_rank": str(20 + epoch), "learning_rate": "0.01"}
        for task in range(1, rows) for epoch in (1, 2, 3)
    ]  # fmt: skip
    timing = Timing(
        seconds=12.5, look_back_seconds=0.25, steps=900, device="cpu", processes=1,
        precision="32-true", forward_passes=2.0, strategy_bytes=2_000_000,
        carried_bytes=1_000_000, log="c" * 64,
    )  # fmt: skip
    linear = {"standardize": True, "epochs": 100}
    matrix = [
        [round(v, 1) for v in row] for row in (60 + 30 * random.random((rows, tasks))).tolist()
    ]
    aware = [[100.0] * tasks] * rows
    change = FeatureChange([0.5, *[None] * (tasks - 1)], 0.75)
    return Results(
        params={"dataset": "fashion_mnist", "scenario": "class", "num_tasks": tasks, "seed": 0,
                "method": "simclr", "strategy": "cassle", "distill_weight": 1.0, "split_seed": 0,
                "evaluation": {"headline": "linear"}, "linear_eval": linear},
        matrix=matrix,
        headline="linear",
        probes={"linear": Probed(matrix, aware), "knn": Probed(aware, aware)},
        ranks=[[12.25] * tasks] * rows,
        changes=[change] * (rows - 1),
        consolidation=[[87.25] * tasks] * rows,
        splits=[
            Split(
                task=task, scenario="class", dataset="fashion_mnist", root="data",
                classes=list(range((task - 1) * classes, task * classes)),
                fingerprint={"train": "a" * 64, "test": "b" * 64},
                set_fingerprint={"train": f"{task:064x}", "test": f"{16 * task:064x}"},
                counts={},
                labels={"train": [(task - 1) * classes] * 3, "test": [(task - 1) * classes] * 2},
                class_names=[f"kind {task}.{c}" for c in range(classes)],
                train=[1, 2, 3], test=[4, 5],
            )
            for task in range(1, tasks + 1)
        ],
        epochs=epochs,
        timings=[timing] * (rows - 1),
        protocols={name: Protocol(PROBES[name].named, "") for name in ("linear", "knn")},
    )  # fmt: skip


def make_extras(results: Results, classes: int = 6, points: int = 300) -> Extras:
    random = np.random.default_rng(1)
    strip = io.BytesIO()
    Image.new("RGBA", (24, 9)).save(strip, format="png")
    tasks = results.num_tasks
    return Extras(
        revision="0123456789ab",
        class_names=[f"class {label}" for label in range(classes)],
        state_bytes=[1_500_000] * len(results.matrix),
        view_strips=[strip.getvalue()] * tasks,
        features=Features(
            random.normal(size=(points, 8)).astype(np.float32),
            np.arange(points) % classes,
            np.arange(points) % tasks + 1,
        ),
    )


def other_run(results: Results, **changes: object) -> Run:
    run = Run(
        name="finetuned",
        revision="c" * 40,
        params=results.params | {"strategy": "finetune"},
        metrics={"average_accuracy": 70.04, "forgetting": None, "forward_transfer": 1.0},
        matrix=[[v if v is None else v - 1.5 for v in row] for row in results.matrix],
        cost=None,
        identity={"data": fingerprint_stream(results.splits)},
    )
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


class Parsed(HTMLParser):
    """All elements with their attributes, and the text inside each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag}: an attribute comes twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWING, f"<{tag}/> does not close in HTML"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def parse(results: Results, extras: Extras) -> Parsed:
    return Parsed(render_page(results, extras))


@pytest.fixture(scope="module")
def everything() -> str:
    """A page with all that it can show."""
    results = make_results()
    return render_page(
        results, dataclasses.replace(make_extras(results), against=other_run(results))
    )


def test_the_page_asks_for_nothing(everything: str) -> None:
    for tag, attributes in Parsed(everything).elements:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "xlink:href", "data", "action", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {name}={value}>"
        assert not any(name.startswith("on") for name in attributes), tag
    style = (TEMPLATES / "page.css").read_text()
    assert not re.search(r"url\(|@import|@font-face|expression\(", style)
    assert "http" not in everything


def test_every_picture_has_a_text_alternative(everything: str) -> None:
    page = Parsed(everything)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert page.all("svg") and page.all("img")
    for image in page.all("img"):
        assert len(image["alt"] or "") > 20
    for image in page.all("svg"):
        assert image["role"] == "img"
        labels = (image["aria-labelledby"] or "").split()
        assert len(labels) == 2 and set(labels) <= set(ids)
    assert len(page.said("desc")) == len(page.all("svg"))
    assert all(len(text) > 20 for text in page.said("desc"))


def test_links_lead_somewhere_and_headings_come_in_order(everything: str) -> None:
    page = Parsed(everything)
    ids = {a.get("id") for _, a in page.elements}
    links = {a["href"] for a in page.all("a")}
    assert links and {str(link).removeprefix("#") for link in links} <= ids
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert page.all("html") == [{"lang": "en-GB"}]


def test_headings_of_tables_say_what_they_head(everything: str) -> None:
    page = Parsed(everything)
    assert len(page.all("th")) > 10
    assert all(heading.get("scope") in {"row", "col"} for heading in page.all("th"))
    regions = [a for _, a in page.elements if a.get("class") == "scroll"]
    assert len(regions) == len(page.all("table"))
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "page.css").read_text(), re.DOTALL)
    light, dark, *_ = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)) for text in blocks)
    return {"light": light, "dark": light | dark}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme: str) -> None:
    colours = palettes()[scheme]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name in ("text", "muted", "this"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    for name in ("text", "muted", "other", *(f"series-{n}" for n in range(1, 11))):
        assert contrast(colours[name], colours["panel"]) >= 4.5, name
    for name in ("heat-low", "heat-high"):
        assert contrast(colours["text"], colours[name]) >= 4.5, name
    for name in ("faint", "best", "this"):
        assert contrast(colours[name], colours["panel"]) >= 3, name


def test_both_schemes_set_the_same_colours() -> None:
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "page.css").read_text(), re.DOTALL)
    light, dark = (set(re.findall(r"--[\w-]+", text)) for text in blocks[:2])
    assert light == dark


def test_params_are_escaped() -> None:
    results = make_results()
    evil = "<script>alert('x')</script>\"&"
    results.params.update(dataset=evil, strategy=evil, notes=evil)
    results = dataclasses.replace(
        results,
        splits=[dataclasses.replace(split, class_names=[evil] * 2) for split in results.splits],
    )
    extras = dataclasses.replace(make_extras(results), revision=evil, class_names=[evil] * 6)
    run = other_run(results, name=evil, params=results.params | {evil: evil})
    for given in (extras, dataclasses.replace(extras, against=run)):
        text = render_page(results, given)
        assert "<script" not in text
        assert "&lt;script&gt;alert(" in text
        assert not Parsed(text).all("script")


def test_the_same_results_give_the_same_text() -> None:
    results = make_results()
    assert render_page(results, make_extras(results)) == render_page(
        make_results(), make_extras(results)
    )


def test_learnt_tasks_are_marked_in_the_matrix() -> None:
    page = parse(make_results(), make_extras(make_results()))
    cells = [str(a["class"]) for a in page.all("td") if "cell" in str(a.get("class", ""))]
    assert [" learnt" in cell for cell in cells] == [
        False, False, False,
        True, False, False,
        True, True, False,
        True, True, True,
    ]  # fmt: skip
    assert page.said("span").count("(learnt)") == 6


def test_figures_are_shown_as_far_as_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    results = make_results()
    metrics = {"average_accuracy": 82.26, "forgetting": None, "cka": 0.914, "headline": "linear"}
    monkeypatch.setattr(Results, "metrics", lambda self: metrics)
    titles = [t for t in parse(results, make_extras(results)).said("dt") if t[0].isupper()]
    assert titles[:3] == ["Average accuracy A", "Forgetting F", "Similarity (CKA)"]
    text = render_page(results, make_extras(results))
    assert "82.3 <" in text and "0.91 <" in text
    assert "undefined" in text
    assert "Plasticity" not in text


def test_another_run_stands_beside_this_one() -> None:
    results = make_results()
    alone = render_page(results, make_extras(results))
    assert "--against finetuned" in alone
    assert "best after any task" in alone
    beside = dataclasses.replace(make_extras(results), against=other_run(results))
    text = render_page(results, beside)
    assert "finetuned: 70.0" in text
    assert "finetuned: undefined" in text
    assert text.count("(+1.5)") == 3
    assert '<th scope="row">strategy</th><td>cassle</td><td>finetune</td>' in text
    assert "best after any task" not in text
    assert "Dashed: the mean of finetuned" in text
    # Learnt at once: its bars stand beside this run's, but it has no curve.
    offline = other_run(results, matrix=[results.matrix[0], results.matrix[-1]])
    text = render_page(results, dataclasses.replace(make_extras(results), against=offline))
    assert text.count("(+0.0)") == 3
    assert "Dashed" not in text


def test_the_page_leaves_out_images_that_are_missing() -> None:
    results = make_results()
    bare = dataclasses.replace(
        make_extras(results), view_strips=None, features=None, state_bytes=[None] * 4
    )
    page = parse(results, bare)
    assert not page.all("img")
    assert not {"features", "views"} & {a.get("id") for _, a in page.elements}
    assert page.said("td").count("not here") == 4


@pytest.mark.parametrize(("tasks", "at_once"), [(1, False), (3, True), (2, False)])
def test_undefined_forgetting_is_said_not_drawn(tasks: int, at_once: bool) -> None:
    results = make_results(tasks, at_once=at_once)
    text = render_page(results, make_extras(results))
    assert ("Forgetting is undefined here" in text) == (tasks == 1 or at_once)
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text)


def test_twenty_tasks_of_a_hundred_classes_stay_below_two_megabytes() -> None:
    results = make_results(20, classes=5)
    extras = make_extras(results, classes=100, points=10_000)
    text = render_page(results, extras)
    Parsed(text)
    assert len(text) < 1_000_000
    assert "oklch(" in text


needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium or Chrome on PATH to open the page in"
)


@pytest.mark.pipeline
@needs_browser
def test_a_browser_opens_the_page_without_a_word_and_without_a_request(
    everything: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(everything)
    backgrounds = set()
    with Browser(tmp_path) as browser:
        for width, dark in itertools.product((1280, 390), (False, True)):
            browser.emulate(width, dark)
            browser.open(path)
            sizes = browser.evaluate(
                "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert sizes[0] <= sizes[1], f"{width} px: the page is {sizes[0]} px wide"
            assert browser.evaluate("document.querySelectorAll('section').length") == 11
            backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert browser.requests() == []
            assert browser.complaints() == []
        assert browser.pdf().startswith(b"%PDF")
    assert len(backgrounds) == 2


@pytest.mark.pipeline
@needs_browser
def test_the_browser_would_have_seen_a_request_and_a_complaint(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://example.com/x.png'><script>console.error('no')</script>")
    with Browser(tmp_path) as browser:
        browser.open(path)
        assert browser.requests() == ["http://example.com/x.png"]
        assert any("console.error" in text or '"no"' in text for text in browser.complaints())


def test_every_probe_and_every_states_rank_are_there() -> None:
    results = make_results()
    text = render_page(results, make_extras(results))
    assert '<th scope="row">linear (headline)</th>' in text
    assert (
        '<th scope="row">knn</th><td class="text">nearest neighbours</td><td>100.0</td><td>0.0</td>'
        in text
    )
    # The random network has no state before it, and what does not vary has no CKA.
    assert '<th scope="row">random network</th><td>12.2</td>' in text
    assert "<td>12.2 / 0.50</td><td>12.2 / –</td>" in text
