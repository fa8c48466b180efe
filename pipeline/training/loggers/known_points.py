"""Points of a run that an earlier process has logged, which are not logged again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class KnownPoints:
    """The points that a run had when this process began, read as their metrics are asked for.

    Args:
        read_steps: returns the steps at which the run has points of a metric.
    """

    def __init__(self, read_steps: Callable[[str], Iterable[int]]) -> None:
        self._read_steps = read_steps
        self._steps: dict[str, set[int]] = {}

    def select_new(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """Return the metrics that the run had not at a step."""
        for name in metrics.keys() - self._steps.keys():
            self._steps[name] = set(self._read_steps(name))
        return {name: value for name, value in metrics.items() if step not in self._steps[name]}
