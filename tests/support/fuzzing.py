"""How many examples tests of random input take."""

from __future__ import annotations

import os

# Set by ``make torture``, which takes them all.
IN_FULL = "FUZZ_IN_FULL"


def count_examples(in_short: int, in_full: int) -> int:
    """Return how many examples to take: few, but where all are asked for."""
    return in_full if os.environ.get(IN_FULL) else in_short
