"""The ledger's tables in Markdown: a line a published result, and one for each other result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.metrics.estimates import estimate
from pipeline.reporting.gaps import NOT_MEASURED
from pipeline.reporting.ledger.entries import Published, Reproduced
from pipeline.reporting.text_formats import escape_markdown

BEGIN = "<!-- What follows is written by `cassle preset record`. -->"
END = "<!-- Until here. -->"
HEAD = (
    "| preset | strategy | protocol | published | ours | difference | our tasks | our seeds "
    "| hardware | hours a run | command |",
    "| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- | ---: | --- |",
)
PRESET_STRATEGY = "cassle"  # what every preset sets


def fill_page(page: str, tables: str) -> str:
    """Return a page with other tables between its two marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"it lacks the lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def list_results(
    published: Sequence[Published],
    ours: Sequence[Reproduced],
    settings: Mapping[str, str],
    ordered: Collection[str],
) -> str:
    """Return the tables, one for each setting and source, and one of what has no counterpart.

    Args:
        published: the results to reach.
        ours: results of runs.
        settings: data set, scenario and tasks of each preset, by its name.
        ordered: the presets that have a published order of classes.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for entry in published:
        where = f"Published in {entry.paper}, {entry.place}."
        rows = groups.setdefault(settings[entry.preset], {}).setdefault(where, [])
        rows += _rows(_match(entry), entry, ours, ordered)
    lines: list[str] = []
    for setting, by_source in groups.items():
        lines += [f"### {setting}"]
        for where, rows in by_source.items():
            lines += ["", escape_markdown(where), "", *HEAD, *rows]
        lines.append("")
    known = {_match(entry) for entry in published}
    others = dict.fromkeys(_match(each) for each in ours if _match(each) not in known)
    if others:
        lines += ["### Without a published figure of the same protocol", "", *HEAD]
        for key in others:
            lines += _rows(key, None, ours, ordered)
    return "\n".join(lines).rstrip()


def _match(entry: Published | Reproduced) -> tuple[str, str, str]:
    return entry.preset, entry.strategy, entry.protocol


def _rows(
    key: tuple[str, str, str],
    published: Published | None,
    ours: Sequence[Reproduced],
    ordered: Collection[str],
) -> list[str]:
    """Return a row for each way in which runs cut their tasks; one where there is no run."""
    own = [entry for entry in ours if _match(entry) == key]
    cuts = dict.fromkeys(entry.cut for entry in own)
    found = [[entry for entry in own if entry.cut == cut] for cut in cuts]
    return [_row(*key, published, entries, key[0] in ordered) for entries in found or [[]]]


def _row(
    preset: str,
    strategy: str,
    protocol: str,
    published: Published | None,
    ours: Sequence[Reproduced],
    is_ordered: bool,
) -> str:
    target, difference, hours = (NOT_MEASURED,) * 3
    cut = seeds = hardware = NOT_MEASURED
    found = "not run"
    if published is not None:
        runs = f" (n = {published.seeds})" if published.seeds else ""
        target = f"{published.accuracy:.1f}{runs}"
    mean = estimate([entry.accuracy for entry in ours])
    if mean is not None:
        spread = "" if mean.deviation is None else f" ± {mean.deviation:.1f}"
        found = f"{mean.mean:.1f}{spread}"
        cut = escape_markdown(ours[0].cut)
        seeds = ", ".join(str(entry.seed) for entry in ours)
        hardware = "; ".join(dict.fromkeys(escape_markdown(entry.hardware) for entry in ours))
        hours = f"{sum(entry.hours for entry in ours) / len(ours):.1f}"
        if published is not None:
            difference = f"{mean.mean - published.accuracy:+.1f}"
    run = f"dvc exp run -S 'evaluation.probes=[{protocol}]' -S evaluation.headline={protocol}"
    if strategy != PRESET_STRATEGY:
        run += f" -S strategy={strategy}"
    cells = [preset, strategy, protocol, target, found, difference, cut, seeds, hardware, hours]
    use = f"cassle preset use {preset}{' --published-order' if is_ordered else ''}"
    return f"| {' | '.join(cells)} | `{use}`, `{run}` |"
