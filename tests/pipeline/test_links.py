"""What stages leave is read where it lies, and nothing that lies elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.errors import StateError
from pipeline.files.atomic import read_content
from pipeline.files.tensors import read_tensor_header
from tests.support.project import Project


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def link_out(path: Path, elsewhere: Path) -> None:
    """Move a file out of the project, and leave a link to it."""
    shutil.move(path, elsewhere / "file")
    path.symlink_to(elsewhere / "file")


def pipe(path: Path, elsewhere: Path) -> None:
    """Put a pipe, which would be read for ever, in a file's place."""
    path.unlink()
    os.mkfifo(path)


def linked_pipe(path: Path, elsewhere: Path) -> None:
    path.unlink()
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def loop(path: Path, elsewhere: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (link_out, "it is a link out of the project, to "),
        (pipe, "it is no file"),
        (linked_pipe, "it is no file"),
        (loop, "Too many levels of symbolic links"),
    ],
)
@pytest.mark.parametrize("path", [layout.state(0), layout.split(1)], ids=str)
def test_what_is_no_file_of_the_project_is_not_opened(
    path: Path, spoil: Callable[[Path, Path], None], said: str, project: Project, elsewhere: Path
) -> None:
    project.trained(0)
    spoil(path, elsewhere)
    code, _, err = project.cassle("train", "1")
    assert code == 2
    assert f"error: {path} is damaged or was" in err
    assert said in err
    assert "run `cassle " in err
    assert len(err.splitlines()) == 1
    assert not layout.state(1).exists()


@pytest.mark.parametrize(
    ("folder", "commands"),
    [
        (layout.STATES, ["init", "train 1"]),
        (layout.SPLITS, ["prepare", "train 1"]),
        (layout.STATES.parent, ["init", "prepare", "train 1", "evaluate"]),
    ],
)
def test_a_linked_folder_is_not_followed_out_of_the_project(
    folder: Path, commands: list[str], project: Project, elsewhere: Path
) -> None:
    project.trained(0)
    shutil.move(folder, elsewhere / "folder")
    folder.symlink_to(elsewhere / "folder")
    left = elsewhere / "folder" / ".task_1.safetensors.unfinished.abcd1234"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    for command in commands:
        code, _, err = project.cassle(*command.split(), "--planned")
        assert code == 2
        assert f"out of the project, to {elsewhere / 'folder'}" in err
        assert len(err.splitlines()) == 1
    project.must("clean", "--yes")
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before


def test_the_header_of_a_linked_or_odd_file_is_not_read(project: Project, elsewhere: Path) -> None:
    project.trained(0)
    for spoil in (link_out, pipe):
        spoil(layout.state(0), elsewhere)
        with pytest.raises(StateError, match="is damaged"):
            read_tensor_header(layout.state(0), StateError, "run it")


def test_links_into_the_project_and_into_a_cache_of_dvc_are_followed(
    project: Project, elsewhere: Path
) -> None:
    cached = elsewhere / "files/md5/ab" / ("0" * 30)
    cached.parent.mkdir(parents=True)
    for target in (project.root / "real", cached):
        target.write_bytes(b"content")
        link = project.root / "link"
        link.symlink_to(target)
        assert read_content(link) == b"content"
        link.unlink()


def test_a_queued_experiment_reads_links_into_the_main_checkout(
    project: Project, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "file").write_bytes(b"content")
    (project.root / "link").symlink_to(elsewhere / "file")
    with pytest.raises(ValueError, match="out of the project"):
        read_content(Path("link"))
    monkeypatch.setenv("DVC_ROOT", str(elsewhere))
    assert read_content(Path("link")) == b"content"


def test_a_link_to_nothing_is_a_missing_file(project: Project, elsewhere: Path) -> None:
    link = project.root / "link"
    link.symlink_to("nothing")
    with pytest.raises(FileNotFoundError):
        read_content(link)
