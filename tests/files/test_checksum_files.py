"""SHA256SUMS, as ``sha256sum`` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.files.checksum_files import SUMS, read_sums

pytestmark = pytest.mark.unit


def test_each_named_file_has_its_digest(tmp_path: Path) -> None:
    (tmp_path / SUMS).write_text(f"{'a' * 64}  one.gz\n{'b' * 64}  two  parts.gz\n")
    assert read_sums(tmp_path) == {"one.gz": "a" * 64, "two  parts.gz": "b" * 64}


def test_what_is_no_text_is_read_too_and_fits_no_file(tmp_path: Path) -> None:
    (tmp_path / SUMS).write_bytes(b"\xff\xfe  one.gz\n\x0bjunk\n")
    assert read_sums(tmp_path) == {"one.gz": "\ufffd\ufffd", "": "\x0bjunk"}


def test_a_missing_list_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_sums(tmp_path)
