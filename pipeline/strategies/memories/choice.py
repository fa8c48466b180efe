"""The memories that params can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.strategies.memories.base import Memory
from pipeline.strategies.memories.fifo import Fifo
from pipeline.strategies.memories.minred import MinRed
from pipeline.strategies.memories.reservoir import Reservoir

MemoryKind = Literal["reservoir", "fifo", "minred"]
MEMORIES: Mapping[MemoryKind, type[Memory]] = {
    "reservoir": Reservoir,
    "fifo": Fifo,
    "minred": MinRed,
}


def build_memory(kind: MemoryKind, size: int) -> Memory:
    """Return an empty memory of a kind, for ``size`` images."""
    return MEMORIES[kind](size)
