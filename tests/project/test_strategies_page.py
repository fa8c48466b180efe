"""docs/strategies.md says of every objective and strategy what the registry says."""

from __future__ import annotations

from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES, list_acting
from tests.support.params import ROOT

PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")


def list_rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")][1:]
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]


def test_every_objective_has_its_line() -> None:
    assert list_rows("Objectives") == [[name, each.summary] for name, each in METHODS.items()]


def test_every_strategy_has_its_line() -> None:
    said = {True: "yes", False: "no"}
    assert list_rows("Strategies") == [
        [
            name,
            each.summary,
            said[each.looks_back],
            said[list_acting([name], 1, from_start=False) == [name]],
            said[each.composes],
        ]
        for name, each in STRATEGIES.items()
    ]


def test_what_is_said_of_streams_and_objectives_holds() -> None:
    [online] = [line for line in PAGE.splitlines() if line.startswith("- An online stream")]
    taken = [name for name, each in STRATEGIES.items() if each.without_boundaries]
    assert online.endswith("takes " + ", ".join(f"`{name}`" for name in taken) + ".")
    bound = {name: each.methods for name, each in STRATEGIES.items() if each.methods}
    [first] = [line for line in PAGE.split("\n- ") if line.startswith("`pnr` is for")]
    told = " ".join(first.split())
    assert list(bound) == ["pnr", "osiris"]
    assert told.startswith("`pnr` is for " + ", ".join(f"`{name}`" for name in bound["pnr"]))
    assert "`osiris` for " + ", ".join(f"`{name}`" for name in bound["osiris"]) in told
