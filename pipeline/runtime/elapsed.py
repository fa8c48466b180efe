"""The time that work took: on the wall, and on the processors."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Elapsed:
    """An amount of time.

    Attributes:
        seconds: on the wall.
        cpu_seconds: of all threads of this process and of the processes it has waited for.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Elapsed) -> Elapsed:
        """Return both together."""
        return Elapsed(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


class Stopwatch:
    """Measures the time from now on.

    Args:
        before: what is added to it.
    """

    def __init__(self, before: Elapsed | None = None) -> None:
        self.before = before or Elapsed()
        self.started = _read_clocks()

    def read(self) -> Elapsed:
        """Return the time so far."""
        now, began = _read_clocks(), self.started
        return self.before + Elapsed(
            now.seconds - began.seconds, now.cpu_seconds - began.cpu_seconds
        )


def _read_clocks() -> Elapsed:
    used = os.times()
    cpu = used.user + used.system + used.children_user + used.children_system
    return Elapsed(time.monotonic(), cpu)
