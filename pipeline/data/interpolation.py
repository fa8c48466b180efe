"""How images are resized, named without importing torch."""

from __future__ import annotations

from typing import Literal

Interpolation = Literal["bilinear", "bicubic"]
