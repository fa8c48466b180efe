"""The plan of reading image files, which every stage that has images reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ReadingPlan:
    """Params of reading image files, which change no image; see ``file_options.Reading``."""

    store: Literal["cache", "stream"]
    workers: int
