"""Names of classes, domains and folders, as params and file systems have them."""

from __future__ import annotations

import unicodedata


def normalize_name(name: str) -> str:
    """Return a name in one Unicode form, NFC, in which names that look the same are the same.

    A folder that macOS has made, or packed into an archive, may have an accent as a letter of its
    own.
    """
    return unicodedata.normalize("NFC", name)


def is_utf8(name: str) -> bool:
    """Return whether a name can be written as UTF-8; a file system holds any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
