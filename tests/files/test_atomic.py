"""Files are written whole, with the permissions and the links that people want."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.files.atomic import find_unfinished, find_way_out, rewrite_text, write_bytes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_file_has_the_permissions_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"1", b"2"):
        write_bytes(path, content)
        assert mode(path) == 0o666 & ~umask
    assert mode(path.parent) == 0o777 & ~umask
    assert path.read_bytes() == b"2"


def test_a_file_that_people_own_keeps_its_link_and_its_permissions(tmp_path: Path) -> None:
    target, link, second = tmp_path / "far" / "params.yaml", tmp_path / "link", tmp_path / "second"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to("far/params.yaml")
    second.symlink_to(link)
    rewrite_text(second, "new")
    assert second.is_symlink()
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert mode(target) == 0o600
    rewrite_text(tmp_path / "fresh", "first")
    assert (tmp_path / "fresh").read_text() == "first"


def test_a_stages_output_replaces_a_link_and_never_writes_into_the_cache(tmp_path: Path) -> None:
    cached, output = tmp_path / "cached", tmp_path / "output"
    cached.write_bytes(b"cached")
    output.symlink_to(cached)
    write_bytes(output, b"new")
    assert not output.is_symlink()
    assert cached.read_bytes() == b"cached"


def test_what_a_killed_process_leaves_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(handle: int) -> None:
        raise Killed

    monkeypatch.setattr(os, "fsync", kill)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(Killed):
        write_bytes(tmp_path / "task_1.json", b"1")
    assert find_unfinished(tmp_path) == list(tmp_path.iterdir())
    assert len(find_unfinished(tmp_path)) == 1


def test_only_links_lead_out_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, far = tmp_path / "project", tmp_path / "far"
    for folder in (project / "data/states", project / "real", far / "scratch"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(project)
    (project / "out").symlink_to(far)
    (project / "within").symlink_to("real")
    (project / ".scratch").symlink_to(far / "scratch")
    assert find_way_out(Path("out/below/file")) == far / "below/file"
    assert find_way_out(Path("out")) == far
    for path in ("data/states/task_1", "within/file", ".scratch/images/a", str(far / "file")):
        assert find_way_out(Path(path)) is None, path
