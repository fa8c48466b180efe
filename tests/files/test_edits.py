"""Changes of files that people edit too."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.files.edits import replace_text


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_that_nobody_has_touched_is_replaced(ends: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(f"seed: 0{ends}".encode())
    replace_text(path, path.read_text(), "seed: 1\n")
    assert path.read_text() == "seed: 1\n"


def test_what_somebody_else_has_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for now in (b"seed: 2\n", b"\xff"):
        path.write_bytes(now)
        with pytest.raises(RunError):
            replace_text(path, "seed: 0\n", "seed: 1\n")
        assert path.read_bytes() == now
