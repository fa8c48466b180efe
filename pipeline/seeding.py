"""Independent random streams: one for each (seed, purpose, task, ...).

Nothing in the pipeline draws from a global generator, so changing one purpose
(say, the augmentation) never moves another (say, the order of the images).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, the same on every machine.

    Args:
        seed: the run's seed, or its split seed.
        purpose: what the stream is for, e.g. ``("order", task, epoch)``.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a new CPU generator for one purpose."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_initialization(seed: int, *purpose: str | int) -> Iterator[None]:
    """Let modules built inside draw their weights from one purpose's stream.

    Modules initialise themselves from torch's global generator; it is restored
    on the way out.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
