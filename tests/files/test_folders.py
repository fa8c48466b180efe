"""A folder of files is that of one export at every moment, also where its process is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.files.folders import UNFINISHED, require_writable_folder, write_folder
from tests.support.params import ROOT

NAMES = ("weights", "network", "recipe", "card")
KILLED = 9
# Ends at the call of a given number that changes a folder, before it or after it.
WRITER = """
import os, shutil, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from pipeline.files import folders
folder, last, after, letter, *names = sys.argv[1:]
calls = 0
def counted(change):
    def call(*arguments, **named):
        global calls
        calls += 1
        if calls == int(last) and after == "0":
            os._exit({killed})
        change(*arguments, **named)
        if calls == int(last):
            os._exit({killed})
    return call
Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
shutil.rmtree = counted(shutil.rmtree)
contents = {{name: f"{{name}} of {{letter}}".encode() for name in names}}
folders.require_writable_folder(Path(folder), {names!r}, replace=letter != "first")
folders.write_folder(Path(folder), contents, {names!r})
"""


def killed_writers(folder: Path, letter: str, names: tuple[str, ...]) -> Iterator[int]:
    """Write a folder again and again, killed one moment later each time, to the end."""
    code = WRITER.format(root=str(ROOT), killed=KILLED, names=NAMES)
    moment = 0
    while True:
        last, after = divmod(moment, 2)
        command = [sys.executable, "-c", code, str(folder), str(last + 1), str(after), letter]
        done = subprocess.run([*command, *names], check=False)
        assert done.returncode in (0, KILLED)
        yield moment
        if done.returncode == 0:
            return
        moment += 1


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def whole(letter: str, names: tuple[str, ...]) -> dict[str, str]:
    return {name: f"{name} of {letter}" for name in sorted(names)}


def write(folder: Path, letter: str, names: tuple[str, ...] = NAMES) -> None:
    write_folder(folder, {n: text.encode() for n, text in whole(letter, names).items()}, NAMES)


@pytest.mark.pipeline
def test_a_killed_writer_mixes_no_two_exports_and_is_in_nobodys_way(tmp_path: Path) -> None:
    folder, fewer = tmp_path / "out", ("weights", "card")
    folder.mkdir()
    moments = 0
    for _ in killed_writers(folder, "second", fewer):
        moments += 1
        found = held(folder)
        found.pop("mine", None)
        letters = {text.split()[-1] for text in found.values()}
        assert len(letters) <= 1, found
        assert "card" not in found or found in (whole("first", NAMES), whole("second", fewer))
        # The next one needs no --force where nothing whole is there.
        require_writable_folder(
            folder, NAMES, replace="card" in found or (folder / "mine").exists()
        )
        write(folder, "first")
        (folder / "mine").write_text("mine")
        assert held(folder) == whole("first", NAMES) | {"mine": "mine"}
        assert not list(folder.glob(f"{UNFINISHED}*"))
    assert moments > 15


@pytest.mark.pipeline
def test_the_weights_are_there_at_every_moment(tmp_path: Path) -> None:
    write(tmp_path, "first")
    for _ in killed_writers(tmp_path, "second", NAMES):
        assert (tmp_path / "weights").exists()
        write(tmp_path, "first")


@pytest.mark.pipeline
def test_a_killed_first_export_does_not_block_its_rerun(tmp_path: Path) -> None:
    for moment in killed_writers(tmp_path / "out", "first", NAMES):
        # Without --force, each one goes on from what the one before it has left.
        if moment and (tmp_path / "out" / "card").exists():
            break
    assert held(tmp_path / "out") == whole("first", NAMES)


def test_a_whole_export_beside_what_a_killed_one_left_needs_force(tmp_path: Path) -> None:
    write(tmp_path, "first")
    (tmp_path / f"{UNFINISHED}abcd1234").mkdir()
    with pytest.raises(RunError, match=r"is not empty \(it holds card, network, recipe, \.\.\.\)"):
        require_writable_folder(tmp_path, NAMES, replace=False)
    require_writable_folder(tmp_path, NAMES, replace=True)
    (tmp_path / "card").unlink()
    require_writable_folder(tmp_path, NAMES, replace=False)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        require_writable_folder(tmp_path, NAMES, replace=False)
