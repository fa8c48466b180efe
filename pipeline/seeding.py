"""Independent random streams: one for each (seed, purpose, task, ...).

Nothing in the pipeline draws from a global generator, so a change to one purpose
(e.g. the augmentation) never changes another (e.g. the order of the images).
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

    torch's CPU generator takes 32 bits of it: of 10,000 streams two are alike with a probability of
    one in a hundred.

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
    """Initialize modules that are built inside from one purpose's stream.

    Modules draw their weights from torch's global generator; its state is restored
    at the end.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
