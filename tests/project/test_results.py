"""Tables of results in the documents hold what the committed files of results hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pandas as pd
import pytest

from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES as STRATEGY_ENTRIES
from pipeline.metrics.estimates import estimate, paired_difference
from tests.support.params import ROOT
from tests.support.result_tables import Groups, Key, describe_all, describe_row, read_runs

NUMBER = re.compile(r"\d+\.\d\d")


def read_section(page: str, heading: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count(f"\n{heading}\n") == 1, (page, heading)
    body = text.split(f"\n{heading}\n")[1]
    return re.split(rf"\n#{{1,{heading.index(' ')}}} ", body)[0]


def list_rows(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("|")]


def list_cells(section: str, columns: int) -> list[list[str]]:
    """The cells of the rows of a section's tables of so many columns, without their heads."""
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in list_rows(section)]
    return [row for row in rows if len(row) == columns][2:]


PAIRS = {
    # Page and heading: the file of runs, its column, what the first two rows are, and the decimals
    # of each metric.
    ("docs/pretrained.md", "## Measure what weights are worth"): (
        "reports/pretrained.csv",
        "weights",
        ("random", "clothes"),
        {"average_accuracy": 2, "forgetting": 2, "forward_transfer": 2},
    ),
    ("docs/speed.md", "## Float32 or bfloat16"): (
        "reports/precision.csv",
        "precision",
        ("32-true", "bf16-mixed"),
        {"average_accuracy": 2, "forgetting": 2, "forward_transfer": 2, "training_cpu_seconds": 1},
    ),
}


@pytest.mark.parametrize(("page", "heading"), PAIRS, ids=" ".join)
def test_a_table_of_pairs_follows_from_its_runs(page: str, heading: str) -> None:
    file, column, kinds, metrics = PAIRS[page, heading]
    rows = [row for row in list_rows(read_section(page, heading)) if "±" in row or "[" in row]
    cells = [[cell.strip() for cell in row.split("|")[2:-1]] for row in rows]
    assert len(cells) == 3
    runs = pd.read_csv(ROOT / file).pivot(index="seed", columns=column)
    for place, (metric, decimals) in enumerate(metrics.items()):
        before, after = (runs[metric][kind].tolist() for kind in kinds)
        for row, values in enumerate((before, after)):
            found = estimate(values)
            assert found is not None
            assert found.n == 5
            assert (
                cells[row][place] == f"{found.mean:.{decimals}f} ± {found.deviation:.{decimals}f}"
            )
        paired = paired_difference(list(zip(after, before, strict=True)))
        assert paired is not None
        assert paired.interval is not None
        numbers = (f"{value:+.{decimals}f}" for value in (paired.mean, *paired.interval))
        said = "{} [{}, {}]".format(*numbers)
        assert cells[2][place] == said.replace("-", "−")


STREAM = (
    "average_accuracy",
    "difference average_accuracy",
    "forgetting",
    "forward_transfer",
    "average_incremental_accuracy",
    "training_cpu_seconds",
    "strategy_bytes",
)
STRATEGIES = (
    "average_accuracy",
    "place average_accuracy",
    "best average_accuracy",
    "wins average_accuracy",
    "forgetting",
    "wins forgetting",
    "forward_transfer",
    "average_incremental_accuracy",
    "training_cpu_seconds",
    "strategy_bytes",
)
PAIRED = (
    "average_accuracy",
    "wins average_accuracy",
    "forgetting",
    "wins forgetting",
    "forward_transfer",
    "wins forward_transfer",
    "training_cpu_seconds",
    "strategy_bytes",
)
# Page and heading: the file of runs, its columns that name a row, and what the other cells say.
COMPARISONS = {
    ("docs/results.md", "## Every strategy"): (
        "reports/strategies.csv",
        ["strategy"],
        STRATEGIES,
    ),
    ("docs/results.md", "## The parts of CaSSLe"): (
        "reports/ablations.csv",
        ["epochs", "strategy", "change"],
        PAIRED[:-1],
    ),
    ("docs/data.md", "## Colour images of four vendors"): (
        "reports/emoji.csv",
        ["strategy"],
        PAIRED,
    ),
    ("docs/results.md", "## All strategies at an equal budget"): (
        "reports/rivals.csv",
        ["method", "strategy"],
        STREAM,
    ),
    ("docs/results.md", "## An online stream at an equal budget"): (
        "reports/online.csv",
        ["strategy", "memory", "share"],
        STREAM,
    ),
    ("docs/backbones.md", "## A ViT on three tasks"): (
        "reports/vit.csv",
        ["method", "strategy"],
        STREAM,
    ),
}
# What the others are compared with: parts of CaSSLe with the whole, all else with fine-tuning.
PLAIN = {"strategy": "finetune", "memory": "none", "share": "none"}
WHOLE = {"strategy": "cassle", "change": "none"}


def find_plain(names: Sequence[str], key: Key) -> Key:
    plain = WHOLE if "change" in names else PLAIN
    return tuple(plain.get(name, own) for name, own in zip(names, key, strict=True))


@pytest.mark.parametrize(("page", "heading"), COMPARISONS, ids=" ".join)
def test_a_table_of_strategies_follows_from_its_runs(page: str, heading: str) -> None:
    file, names, columns = COMPARISONS[page, heading]
    groups = read_runs(file, names)
    cells = list_cells(read_section(page, heading), len(names) + len(columns))
    assert sorted(tuple(row[: len(names)]) for row in cells) == sorted(groups)
    for row in cells:
        key = tuple(row[: len(names)])
        assert row[len(names) :] == describe_row(groups, key, find_plain(names, key), columns)


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("docs/results.md", "## The parts of CaSSLe"),
        ("docs/data.md", "## Colour images of four vendors"),
    ],
)
def test_what_is_said_of_a_table_repeats_its_numbers(page: str, heading: str) -> None:
    section = read_section(page, heading)
    table = set(NUMBER.findall("\n".join(list_rows(section))))
    said = "\n".join(line for line in section.splitlines() if not line.startswith(("|", "    ")))
    found = NUMBER.findall(said)
    assert len(found) > 4
    assert not set(found) - table


GAINS = (
    "before average_accuracy",
    "average_accuracy",
    "wins average_accuracy",
    "wins forgetting",
    "wins forward_transfer",
)
OBJECTIVES = (
    "average_accuracy",
    "forgetting",
    "forward_transfer",
    "backward_transfer",
    "average_incremental_accuracy",
    "training_cpu_seconds",
    "strategy_bytes",
)


RAN_OBJECTIVES = (
    "simclr", "mocov2plus", "byol", "barlow_twins", "vicreg", "swav", "simsiam", "dino",
)  # fmt: skip
RAN_STRATEGIES = (
    "finetune", "cassle", "offline", "ewc", "er", "der", "lump", "cla_e", "cla_r", "less_forget",
    "pfr", "pnr", "osiris", "pocon",
)  # fmt: skip


def list_objectives(groups: Groups) -> list[str]:
    """The objectives that were run, in the registry's order; one that is added has no runs yet."""
    assert {method for method, _ in groups} == set(RAN_OBJECTIVES)
    assert set(RAN_OBJECTIVES) <= set(METHODS)
    return [name for name in METHODS if name in RAN_OBJECTIVES]


@pytest.mark.parametrize(
    ("page", "heading", "columns"),
    [
        ("README.md", "## One result: CaSSLe against fine-tuning", GAINS[:3]),
        ("docs/results.md", "## Every objective", GAINS),
    ],
)
def test_what_cassle_gains_with_each_objective_follows_from_the_runs(
    page: str, heading: str, columns: Sequence[str]
) -> None:
    groups = read_runs("reports/objectives.csv", ["method", "strategy"])
    names = list_objectives(groups)
    pairs = [((name, "cassle"), (name, "finetune")) for name in names]
    rows = [
        [name, *describe_row(groups, *pair, columns)]
        for name, pair in zip(names, pairs, strict=True)
    ]
    rows.append([f"all {len(pairs)} methods", *describe_all(groups, pairs, columns)])
    assert list_cells(read_section(page, heading), 1 + len(columns)) == rows


def test_all_that_was_measured_of_the_objectives_follows_from_the_runs() -> None:
    groups = read_runs("reports/objectives.csv", ["method", "strategy"])
    assert all(runs.index.tolist() == [10, 11, 12, 13, 14] for runs in groups.values())
    rows = [
        [*key, *describe_row(groups, key, key, OBJECTIVES)]
        for name in list_objectives(groups)
        for key in ((name, "finetune"), (name, "cassle"))
    ]
    section = read_section("docs/results.md", "## Every objective")
    assert list_cells(section, 2 + len(OBJECTIVES)) == rows


def test_every_strategy_and_objective_has_the_same_seeds_and_shares_their_runs() -> None:
    strategies = read_runs("reports/strategies.csv", ["strategy"])
    objectives = read_runs("reports/objectives.csv", ["method", "strategy"])
    assert {name for (name,) in strategies} == {*RAN_STRATEGIES, "cassle+er"}
    assert set(RAN_STRATEGIES) <= set(STRATEGY_ENTRIES)
    assert all(sorted(runs.index) == [10, 11, 12, 13, 14] for runs in strategies.values())
    for name in ("finetune", "cassle"):
        same = objectives["simclr", name]["average_accuracy"]
        assert strategies[(name,)]["average_accuracy"].equals(same)


@pytest.mark.parametrize("data", ["CIFAR-100", "ImageNet-100"])
def test_the_published_gains_are_those_of_the_ledger(data: str) -> None:
    published = pd.read_csv(ROOT / "docs/published.csv")
    start = data.lower().replace("-", "") + "_"
    ours = published[published.preset.str.startswith(start)]
    ours = ours[ours.paper.str.startswith("Self-Supervised Models are Continual Learners")]
    accuracy = ours.pivot(index="preset", columns="strategy", values="accuracy")
    gains = (accuracy.cassle - accuracy.finetune).dropna().round(1)
    section = " ".join(read_section("docs/results.md", "## Every objective").split())
    said = re.search(
        rf"(\d+\.\d) \((\S+)\) to (\d+\.\d)(?: points)? \(([^)]+)\) on {data}", section
    )
    assert said is not None
    names = {"vicreg": "VICReg", "byol": "BYOL", "mocov2plus": "MoCo v2+"}
    least, most = (names[place.removeprefix(start)] for place in (gains.idxmin(), gains.idxmax()))
    assert said.groups() == (f"{gains.min()}", least, f"{gains.max()}", most)


MEASURED = (
    "A step",
    "bfloat16",
    "Starting",
    "Other strategies",
    "Two views",
    "Views of 224 pixels",
    "The same SimCLR",
)


@pytest.mark.parametrize("subject", MEASURED)
def test_what_is_said_of_speed_is_what_the_benchmark_gave(subject: str) -> None:
    page, table = ((ROOT / name).read_text() for name in ("docs/speed.md", "reports/benchmark.md"))
    said = page.split(f"\n- **{subject}**")[1].split("\n- **")[0]
    found = re.findall(r"\d+\.\d+", said)
    assert found
    numbers = map(float, re.findall(r"\d+(?:\.\d+)?", table))
    assert not set(found) - {f"{each:.{decimals}f}" for each in numbers for decimals in (1, 2)}


def test_the_readme_shows_the_committed_matrix() -> None:
    drawn = [
        [float(cell) for cell in line.split("│")[2:-1]]
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(("    │ random network", "    │ after task"))
    ]
    table = pd.read_csv(ROOT / "reports/accuracy_matrix.csv")
    matrix = table.pivot(index="after_task", columns="task", values="accuracy")
    assert [row[:-1] for row in drawn] == matrix.to_numpy().tolist()
    assert [row[-1] for row in drawn] == matrix.mean(axis=1).round(1).tolist()


def test_the_readme_shows_the_committed_metrics() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    for name, key in (
        ("average accuracy A", "average_accuracy"),
        ("forgetting F", "forgetting"),
        ("forward transfer FT", "forward_transfer"),
    ):
        assert f"    {name}: {metrics[key]:.1f}\n" in text
