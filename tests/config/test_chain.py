"""The task slots of dvc.yaml, read and written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline import layout
from pipeline.config.chain import (
    check_slots,
    ensure_slots,
    list_unknown,
    read_slots,
    require_slots,
    write_slots,
)
from pipeline.errors import ParamsError, RunError
from pipeline.files.atomic import rewrite_text
from tests.support.params import ROOT, SHIPPED


@pytest.fixture(autouse=True)
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / layout.CHAIN, tmp_path))


def stages(path: Path = layout.CHAIN) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load(path.read_text())["stages"]
    return found


def test_the_shipped_chain_has_a_slot_for_each_task_and_none_beyond() -> None:
    assert read_slots() == yaml.safe_load(SHIPPED)["num_tasks"]


@pytest.mark.parametrize("count", [2, 5, 19, 20, 21, 60, 500])
def test_all_lists_are_written_for_a_number_of_tasks(count: int) -> None:
    write_slots(count)
    assert read_slots() == count
    check_slots(count)
    files = [layout.CHAIN, *sorted(layout.SLOTS.glob("*/dvc.yaml"))]
    listed: dict[str, str] = {}
    for path in files:
        train = stages(path)["train"]
        assert len(train["foreach"]) <= 20
        listed |= train["foreach"]
    assert listed == {str(task): str(task - 1) for task in range(2, count + 1)}
    outs = [path for each in stages()["prepare"]["outs"] for path in each]
    assert outs == [
        *(f"data/splits/task_{task}.json" for task in range(1, count + 1)),
        "data/splits/index.json",
        "data/splits/origin.json",
        "data/splits/online.json",
    ]
    assert stages()["plan"]["cmd"] == f"python -m pipeline plan --slots {count}"


def test_stages_in_files_of_their_own_run_in_the_root_as_all_do() -> None:
    write_slots(25)
    ours = stages()["train"]["do"]
    theirs = dict(stages(layout.SLOTS / "21-40/dvc.yaml")["train"]["do"])
    assert theirs.pop("wdir") == "../.."
    assert theirs == ours


def test_the_same_number_again_changes_no_byte_and_another_one_comes_back(chain: Path) -> None:
    before = chain.read_text()
    write_slots(read_slots())
    assert chain.read_text() == before
    write_slots(50)
    assert "The keys are quoted" in chain.read_text()
    write_slots(yaml.safe_load(SHIPPED)["num_tasks"])
    assert chain.read_text() == before
    assert not list(layout.SLOTS.glob("*/dvc.yaml"))


def test_where_one_file_cannot_be_written_none_is_changed(chain: Path) -> None:
    before = chain.read_text()
    layout.SLOTS.touch()
    with pytest.raises(
        RunError, match=r"cannot write to slots/21-40 \(Not a directory\); make them"
    ):
        write_slots(30)
    assert chain.read_text() == before
    assert read_slots() == 5


@pytest.mark.parametrize("place", ["slots/41-60/dvc.yaml", "dvc.yaml"])
def test_what_fails_while_it_is_written_leaves_the_chain_as_it_was(
    chain: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slots(25)
    before = chain.read_text()

    def rewrite(path: Path, content: str) -> None:
        if path == Path(place):
            raise RunError(f"cannot write {path}: No space left on device")
        rewrite_text(path, content)

    monkeypatch.setattr("pipeline.config.chain.rewrite_text", rewrite)
    with pytest.raises(RunError, match="No space left"):
        write_slots(50 if "slots" in place else 5)
    assert chain.read_text() == before
    assert (layout.SLOTS / "21-40/dvc.yaml").is_file()


def test_slots_are_only_added_where_they_are_missing(chain: Path) -> None:
    before = chain.read_text()
    ensure_slots(3)
    assert chain.read_text() == before
    ensure_slots(6)
    assert read_slots() == 6


def test_folders_outside_are_known_to_dvc_as_long_as_the_stream_has_them(chain: Path) -> None:
    before = chain.read_text()
    ensure_slots(5, ["../elsewhere/new"])
    for name in ("plan", "prepare", "evaluate"):
        assert "../elsewhere/new" in stages()[name]["deps"]
    assert list_unknown(["../elsewhere/new", "other"]) == ["other"]
    ensure_slots(5)
    assert chain.read_text() == before


def test_too_few_slots_are_said_with_the_command_that_adds_them() -> None:
    require_slots(5)
    with pytest.raises(ParamsError, match=r"has slots for 5 tasks; run `cassle slots 7`"):
        require_slots(7)


def test_lists_that_were_changed_by_hand_are_found(chain: Path) -> None:
    chain.write_text(chain.read_text().replace("      '5': '4'\n", ""))
    with pytest.raises(RunError, match="lists 4 tasks, and its stage plan says 5"):
        check_slots(5)


@pytest.mark.parametrize("text", ["", "stages: 3\n", "stages: {train: {foreach: 7}}\n", "a: [\n"])
def test_a_file_that_is_no_chain_is_refused(chain: Path, text: str) -> None:
    chain.write_text(text)
    with pytest.raises(RunError, match="is not the pipeline's"):
        read_slots()


def test_without_a_chain_there_are_no_slots_to_miss(chain: Path) -> None:
    chain.unlink()
    assert read_slots() == 0
    require_slots(100)
    ensure_slots(100)
    with pytest.raises(RunError, match="is missing here"):
        write_slots(3)
