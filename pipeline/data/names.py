"""Names of classes and domains, as folders and params have them."""

from __future__ import annotations

import unicodedata


def normalize_name(name: str) -> str:
    """Return a name in one Unicode form, NFC, in which names that look the same are the same.

    A folder that macOS has made, or packed into an archive, may have an accent as a letter of its
    own.
    """
    return unicodedata.normalize("NFC", name)
