"""Lists of SHA-256 checksums, as ``sha256sum`` writes and checks them."""

from __future__ import annotations

from pathlib import Path

SUMS = "SHA256SUMS"


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that the list in a folder names.

    A damaged list names files that are not there, or digests that no file has.

    Raises:
        OSError: the list cannot be read.
    """
    lines = (folder / SUMS).read_bytes().splitlines()
    parts = (line.decode(errors="replace").partition("  ") for line in lines)
    return {name: digest for digest, _, name in parts}
