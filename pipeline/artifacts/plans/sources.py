"""The code that the plans were resolved with, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourcesPlan:
    """The code that the plans were resolved with; nothing is made from it.

    Attributes:
        code: the SHA-256 of all files of the package, comments too.
    """

    code: str
