"""Names from people reach no output raw: not Markdown, the page, plots or the terminal."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.reporting import plots, tables, terminal
from pipeline.reporting.card.card import render_card
from pipeline.reporting.card.state_metrics import StateMetrics
from pipeline.reporting.page.page import render_page
from pipeline.reporting.results import Results
from pipeline.reporting.text_formats import (
    escape_markdown,
    escape_plot,
    escape_warning,
    format_json,
    show_controls,
)
from tests.reporting.test_card_gaps import make_card
from tests.reporting.test_page import Parsed, make_extras, make_results

EVIL = (
    "<script>alert(1)</script>",
    "![x](javascript:1)",
    "[a](b)",
    "a|b",
    "**bold** _x_ `code`",
    "two\nlines\r\n# heading",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eturned",
    "\udcff.png",
    "$x^2$ $",
    "[bold]markup[/] [/x]",
)


def evil_results() -> Results:
    results = make_results(len(EVIL))
    return dataclasses.replace(
        results,
        splits=[
            dataclasses.replace(split, class_names=[name], classes=split.classes[:1])
            for split, name in zip(results.splits, EVIL, strict=True)
        ],
        class_names=EVIL,
        gone=[1],
    )


def assert_visible(text: str) -> None:
    """Check that a text has no control characters but line breaks, and no halves of others."""
    for character in "\x1b\x07\r\u202e\udcff\x9b":
        assert character not in text


def test_hidden_characters_are_written_out_and_others_stay() -> None:
    assert show_controls("a\x1b[31m\nb\u202e\udc80") == r"a\u001b[31m\nb\u202e\udc80"
    kept = "Ärmel 袖 👩‍💻 T-shirt/top\u00a0x"
    assert show_controls(kept) == kept
    assert json.loads(f'"{show_controls(chr(27))}"') == "\x1b"


def test_markdown_shows_a_name_as_it_is() -> None:
    assert escape_markdown("a|b <i> & *c* `d` _e_ f_g") == (
        r"a\|b &lt;i&gt; &amp; \*c\* \`d\` \_e\_ f_g"
    )
    assert escape_markdown("[a](b) ![c][d] [e]") == r"[a\](b) ![c\][d] [e]"
    assert escape_markdown("# no heading\n- no list").startswith(r"\# no heading\\n")
    assert escape_warning("worse: a*b `c`. Run `cassle x`.") == (
        r"worse: a\*b \`c\`. Run `cassle x`."
    )


def test_matplotlib_reads_no_formula() -> None:
    assert escape_plot("$a$\n") == r"\$a\$\n"


def test_json_stays_json_without_hidden_characters() -> None:
    value = {"a\x9b": ["\u202e", "ä", 1]}
    text = format_json(value)
    assert_visible(text)
    assert "ä" in text and json.loads(text) == value


def test_no_name_reaches_the_report_or_the_card_raw() -> None:
    results = evil_results()
    results.params.update(notes="\x9b\u202e")
    card = dataclasses.replace(
        make_card(StateMetrics([50.0] * len(EVIL), None, [], gone=[1]), 3), splits=results.splits
    )
    for text in (tables.markdown(results, "0123"), render_card(card)):
        assert_visible(text)
        text.encode()
        assert "<script" not in text and "![x](" not in text and "[a](b)" not in text
        assert r"a\|b" in text and "\n# heading" not in text
        lines = text.split("\n")
        row = next(line for line in lines if "&lt;script&gt;" in line and line.startswith("|"))
        heads = lines[lines.index(row) + 1]
        if set(heads) <= set("|-: "):
            assert row.replace(r"\|", "").count("|") == heads.count("|")


def test_no_name_reaches_the_page_raw() -> None:
    results = evil_results()
    extras = dataclasses.replace(make_extras(results), class_names=EVIL)
    text = render_page(results, extras)
    assert_visible(text)
    text.encode()
    page = Parsed(text)
    assert not page.all("script")
    assert any("alert(1)" in said for said in page.said("td"))


def test_no_name_reaches_the_terminal_raw() -> None:
    for width in (80, 400):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        terminal.print_results(evil_results(), console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert_visible(text.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[3m", ""))
        assert "[bold]markup[/]" in text or width == 80


@pytest.mark.pipeline
def test_any_name_can_be_drawn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    results = evil_results()
    splits = [dataclasses.replace(results.splits[0], class_names=["袖 👩"]), *results.splits[1:]]
    results = dataclasses.replace(results, splits=splits)
    plots.draw_accuracy_matrix(results, tmp_path / "matrix.png")
    plots.draw_accuracy_over_tasks(results, tmp_path / "curves.png")
    plots.draw_losses(results, tmp_path / "losses.png")
    assert not recwarn.list
