"""The two parts of a data set."""

from __future__ import annotations

from typing import Literal

Part = Literal["train", "test"]
PARTS: tuple[Part, Part] = ("train", "test")
