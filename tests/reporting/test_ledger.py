"""The ledger: what was published beside what runs of presets reached."""

from __future__ import annotations

import codecs
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import record
from pipeline.config import presets
from pipeline.config.published_order import PUBLISHED_ORDER
from pipeline.config.read import parse_params
from pipeline.config.registry.probes import PROBES
from pipeline.config.resolve import resolve
from pipeline.errors import RunError
from pipeline.files.csv_tables import csv_text
from pipeline.layout import LEDGER, PUBLISHED, REPRODUCED
from pipeline.reporting.comparing.tables_reading import read_final_accuracies
from pipeline.reporting.ledger.entries import (
    Published,
    Reproduced,
    add_entries,
    read_published,
    read_reproduced,
    write_reproduced,
)
from pipeline.reporting.ledger.tables import BEGIN, END, fill_page, list_results
from tests.support.params import ROOT, SHIPPED
from tests.support.results_repository import Repository

pytestmark = pytest.mark.unit

NAME = "cifar100_byol"
A100 = ("--hardware", "one NVIDIA A100")


def ours(seed: int = 0, accuracy: float = 60.0, **changes: str) -> Reproduced:
    fixed = {"preset": NAME, "strategy": "cassle", "protocol": "online", "cut": "c", **changes}
    return Reproduced(**fixed, seed=seed, accuracy=accuracy, hours=3.0, hardware="H", code="c")


def published(accuracy: float = 62.2, seeds: str = "", strategy: str = "cassle") -> Published:
    return Published(NAME, strategy, "online", accuracy, seeds, "A paper", "Table 2")


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| cifar")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


@pytest.mark.pipeline
def test_the_page_is_what_the_files_beside_it_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = dict.fromkeys(presets.list_published(), "")
    assert {entry.preset for entry in read_published(PUBLISHED)} <= settings.keys()
    assert record._make_page(read_reproduced(REPRODUCED)) == LEDGER.read_text(), (
        "run `cassle preset record`"
    )


RUN = "dvc exp run -S 'evaluation.probes=[online]' -S evaluation.headline=online"


def test_published_protocols_are_probes() -> None:
    assert {entry.protocol for entry in read_published(ROOT / PUBLISHED)} <= set(PROBES)


def test_published_results_are_those_of_the_paper() -> None:
    found = {
        (entry.preset, entry.strategy, entry.protocol): entry.accuracy
        for entry in read_published(ROOT / PUBLISHED)
    }
    assert len(found) == 25
    assert found["cifar100_byol", "finetune", "online"] == 52.7
    assert found["cifar100_byol", "cassle", "online"] == 62.2
    assert found["imagenet100_mocov2plus", "cassle", "linear_augmented"] == 68.8
    # 7 points apart for one run.
    assert found["imagenet100_byol", "finetune", "linear_augmented"] == 66.0
    assert found["imagenet100_byol", "finetune", "online"] == 59.0


def test_a_line_has_the_mean_over_seeds_and_its_distance_to_the_published() -> None:
    text = list_results([published()], [ours(0, 60.0), ours(1, 62.0)], {NAME: "a setting"}, [])
    # The deviation of 60 and 62 is the root of 2.
    assert rows(text) == [
        [NAME, "cassle", "online", "62.2", "61.0 ± 1.4", "-1.2", "c", "0, 1", "H", "3.0",
         f"`cassle preset use {NAME}`, `{RUN}`"]
    ]  # fmt: skip
    assert text.startswith("### a setting\n\nPublished in A paper, Table 2.\n\n| preset |")


def test_what_was_not_run_says_so_and_how_to_run_it() -> None:
    text = list_results([published(52.7, "3", "finetune")], [], {NAME: "a setting"}, [])
    assert rows(text) == [
        [NAME, "finetune", "online", "52.7 (n = 3)", "not run", *["–"] * 5,
         f"`cassle preset use {NAME}`, `{RUN} -S strategy=finetune`"]
    ]  # fmt: skip


def test_another_protocol_is_never_beside_a_published_figure() -> None:
    text = list_results([published()], [ours(protocol="linear")], {NAME: "a setting"}, [])
    beside, apart = text.split("### Without a published figure of the same protocol")
    assert rows(beside)[0][4] == "not run"
    assert rows(apart)[0][2:6] == ["linear", "–", "60.0", "–"]


def test_a_new_result_of_the_same_seed_replaces_the_one_before(tmp_path: Path) -> None:
    entries, replaced = add_entries([ours(1), ours(0, 50.0)], [ours(0), ours(2)])
    assert replaced == [ours(0, 50.0)]
    write_reproduced(tmp_path / "a.csv", entries)
    assert read_reproduced(tmp_path / "a.csv") == [ours(0), ours(1), ours(2)]
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    (tmp_path / "a.csv").write_text(text, encoding="utf-8-sig")  # as Excel saves it
    assert read_reproduced(tmp_path / "a.csv") == [ours(0), ours(1), ours(2)]


def test_a_page_without_its_marks_is_an_error_and_its_words_stay() -> None:
    assert fill_page(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    with pytest.raises(ValueError, match="lacks the lines"):
        fill_page("a\n", "new")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("preset,accuracy\na,1\n", "line 2: .*expected the columns preset, strategy"),
        (
            "preset,strategy,protocol,accuracy,seeds,paper,place\na,b,c,123,,d,e\n",
            "line 2: .*the accuracy is 123, expected percent",
        ),
        (
            "preset,strategy,protocol,accuracy,seeds,paper,place\na,b,c,x,,d,e\n",
            "line 2: .*could not convert",
        ),
        ("preset,strategy,protocol,accuracy,seeds,paper,place\na,b\n", "line 2: .*expected the"),
    ],
)
def test_a_line_that_is_not_right_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(RunError, match=said):
        read_published(tmp_path / "published.csv")


def probes(*lines: str) -> bytes:
    return "\n".join(["after_task,probe,task,task_agnostic,task_aware", *lines, ""]).encode()


def test_final_accuracies_are_means_over_the_tasks_after_the_last() -> None:
    table = probes(
        "1,online,1,90.0,", "1,online,2,10.0,", "2,online,1,50.0,", "2,online,2,61.0,",
        "2,knn,1,40.0,", "2,knn,2,,",
    )  # fmt: skip
    assert read_final_accuracies(table) == {"online": 55.5}
    assert read_final_accuracies(codecs.BOM_UTF8 + table) == {"online": 55.5}
    assert read_final_accuracies(None) == {}
    # Of the random network alone nothing is reached.
    assert read_final_accuracies(probes("0,online,1,5.0,")) == {}
    with pytest.raises(ValueError, match=r"probes\.csv has the row"):
        read_final_accuracies(probes("x,online,1,5.0,"))


class Ledger:
    """A project with a preset, an empty ledger, and runs made by hand."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        for folder in ("presets", "docs"):
            (repository.root / folder).mkdir()
        for name in (NAME, "own_images"):
            text = (ROOT / f"presets/{name}.yaml").read_text()
            (repository.root / f"presets/{name}.yaml").write_text(text)
        LEDGER.write_text(f"# Ledger\n\n{BEGIN}\n{END}\n")
        figures = [vars(published()), vars(published(52.7, strategy="finetune"))]
        PUBLISHED.write_text(csv_text(list(figures[0]), figures))
        write_reproduced(REPRODUCED, [])

    def write_run(self, accuracy: float, **changes: object) -> None:
        """Write reports/ of a run of the preset, with other params where they are given."""
        wanted = {**_flatten(presets.read_values(NAME)), **changes}
        self.repository.write(accuracy, **wanted)  # type: ignore[arg-type]
        table = probes(
            *(f"2,online,{task},{accuracy}," for task in (1, 2)),
            *(f"2,linear,{task},{accuracy + 1}," for task in (1, 2)),
        )
        Path("reports/probes.csv").write_bytes(table)

    def refuses(self, *command: str) -> str:
        before = LEDGER.read_bytes(), REPRODUCED.read_bytes()
        code, _, err = self.repository.cassle("preset", "record", *command)
        assert code == 2, err
        assert "Traceback" not in err and err.count("\n") == 1
        assert (LEDGER.read_bytes(), REPRODUCED.read_bytes()) == before
        return err


def _flatten(values: object, name: str = "") -> dict[str, object]:
    if not isinstance(values, dict):
        return {name: values}
    found: dict[str, object] = {}
    for key, value in values.items():
        found |= _flatten(value, f"{name}__{key}" if name else str(key))
    return found


@pytest.fixture
def ledger(repository: Repository) -> Ledger:
    return Ledger(repository)


@functools.cache
def params_of(name: str) -> dict[str, Any]:
    """The params that a run of a preset notes."""
    merged, _ = presets.merge(SHIPPED, (ROOT / f"presets/{name}.yaml").read_text())
    noted: dict[str, Any] = json.loads(
        json.dumps(dict(resolve(parse_params(merged, name)).report.params))
    )
    return noted


@pytest.mark.parametrize("name", ["cifar100_byol", "imagenet100_mocov2plus", "domainnet_swav"])
def test_what_a_run_of_a_preset_notes_is_no_departure(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    values = presets.read_values(name)
    given = params_of(name)
    assert record.list_departures(values, given) == []
    probes = {"probes": ["linear", "linear_augmented"], "headline": "linear"}
    given = {**given, "evaluation": {**given["evaluation"], **probes}}
    assert record.list_departures(values, given) == []
    options = {**given["evaluation"]["linear_augmented"], "epochs": 3}
    given = {**given, "evaluation": {**given["evaluation"], "linear_augmented": options}}
    assert record.list_departures(values, given) == [
        "evaluation.linear_augmented.epochs: 3 instead of 100"
    ]


def test_orders_of_classes_that_begin_alike_are_told_apart() -> None:
    def cut(order: Sequence[int]) -> str:
        return record._name_cut({"scenario": "class", "class_order": list(order)})

    assert cut(PUBLISHED_ORDER) == "the published order"
    assert cut(range(100)) != cut([0, 1, 2, *range(99, 2, -1)])


def test_presets_with_a_published_order_are_used_with_it() -> None:
    text = list_results([published()], [], {NAME: "a setting"}, [NAME])
    assert f"`cassle preset use {NAME} --published-order`" in text


def test_one_command_adds_the_run_in_the_workspace(ledger: Ledger) -> None:
    ledger.write_run(61.5, seed=3, train__devices=4, data__root="elsewhere")
    out = ledger.repository.must("preset", "record", NAME, *A100)
    assert f"{NAME}, cassle, online, seed 3: A 61.5, 0.03 h" in out  # 100 seconds
    assert "2 results, 0 replaced" in out
    first = rows(LEDGER.read_text())[0]
    assert first[3:7] == ["62.2", "61.5", "-0.7", "split_seed 0"]
    assert first[7:10] == ["3", "one NVIDIA A100", "0.0"]
    assert "| linear | – | 62.5 |" in LEDGER.read_text()
    ledger.write_run(60.5, seed=3)
    assert "2 results, 2 replaced" in ledger.repository.must("preset", "record", NAME, *A100)
    assert [entry.accuracy for entry in read_reproduced(REPRODUCED)] == [61.5, 60.5]
    page = LEDGER.read_bytes()
    LEDGER.write_text(f"{BEGIN}\n{END}\n")
    ledger.repository.must("preset", "record")
    assert LEDGER.read_bytes().strip() == page.removeprefix(b"# Ledger\n\n").strip()


def test_runs_that_cut_their_tasks_otherwise_have_a_line_of_their_own(ledger: Ledger) -> None:
    for accuracy, order in ((60.0, None), (62.0, [11, 22, 39, 23])):
        ledger.write_run(accuracy, class_order=order)
        ledger.repository.must("preset", "record", NAME, *A100)
    lines = [line for line in rows(LEDGER.read_text()) if line[1:3] == ["cassle", "online"]]
    assert [line[4:7] for line in lines] == [
        ["62.0", "-0.2", "class_order 11, 22, 39, … (2b7cd1bc)"],
        ["60.0", "-2.2", "split_seed 0"],
    ]


def test_experiments_are_added_by_their_names(ledger: Ledger) -> None:
    for seed, accuracy in enumerate((60.0, 62.0)):
        ledger.write_run(accuracy, seed=seed, strategy="finetune")
        ledger.repository.keep(f"seed-{seed}")
    ledger.repository.must("preset", "record", NAME, "seed-0", "seed-1", *A100)
    assert rows(LEDGER.read_text())[1][3:7] == ["52.7", "61.0 ± 1.4", "+8.3", "split_seed 0"]
    assert all(len(entry.code) == 12 for entry in read_reproduced(REPRODUCED))
    assert "the same strategy, tasks and seed" in ledger.refuses(NAME, "seed-0", "seed-0", *A100)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train__epochs": 5}, "train.epochs: 5 instead of 500"),
        ({"method": "simclr"}, "method: simclr instead of byol"),
        ({"strategies__cassle__predictor": "none"}, 'cassle.predictor: "none" instead of "mlp"'),
        ({"strategy": "er"}, "strategy: er instead of one it has options for (cassle, finetune"),
    ],
)
def test_a_run_of_other_params_is_refused(
    changes: dict[str, object], said: str, ledger: Ledger
) -> None:
    ledger.write_run(60.0, **changes)
    err = ledger.refuses(NAME, *A100)
    assert f"workspace is no run of the preset {NAME}: " in err
    assert said in err


def test_options_of_another_strategy_do_not_count(ledger: Ledger) -> None:
    ledger.write_run(60.0, strategy="finetune", strategies__cassle__predictor="none")
    ledger.repository.must("preset", "record", NAME, *A100)


def test_what_is_missing_is_one_clear_error(ledger: Ledger) -> None:
    assert "reports/metrics.json" in ledger.refuses(NAME, *A100)
    ledger.write_run(60.0)
    assert "add --hardware, e.g. cassle preset record cifar100_byol" in ledger.refuses(NAME)
    assert "expected a line of text" in ledger.refuses(NAME, "--hardware", "two\nlines")
    assert "did you mean 'cifar100_byol'" in ledger.refuses("cifar100_byoll", *A100)
    assert "images of one's own" in ledger.refuses("own_images", *A100)
    Path("reports/probes.csv").unlink()
    assert "lack accuracies by probe" in ledger.refuses(NAME, *A100)
    ledger.write_run(60.0)
    held = json.loads(Path("reports/cost.json").read_text())
    del held["training_seconds"]
    Path("reports/cost.json").write_text(json.dumps(held))
    assert "the time of training" in ledger.refuses(NAME, *A100)
    ledger.write_run(60.0)
    PUBLISHED.write_text(PUBLISHED.read_text().replace(NAME, "cifar_byol"))
    assert "name presets that are not here: cifar_byol" in ledger.refuses(NAME, *A100)
