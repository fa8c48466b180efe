"""What training a stream took, summed over its tasks."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.artifacts.training_log import Timing
from pipeline.files.sealed_json import Json


def sum_costs(timings: Sequence[Timing]) -> Json:
    """Return the content of reports/cost.json.

    Forward passes are relative to fine-tuning: to task 1, without a teacher's there.

    Args:
        timings: of each task, in order.
    """
    base = timings[0].forward_passes - timings[0].teacher_passes
    later = [timing.forward_passes for timing in timings[1:]]
    seconds = [timing.seconds + timing.look_back_seconds for timing in timings]
    return {
        "training_seconds": round(sum(seconds), 1),
        "training_cpu_seconds": _sum_known([timing.cpu_seconds for timing in timings], 1),
        "forward_passes": round(sum(later) / len(later) / base, 2) if later else 1.0,
        "images_forward": _sum_known([timing.images_forward for timing in timings]),
        "images_backward": _sum_known([timing.images_backward for timing in timings]),
        "strategy_bytes": max(timing.strategy_bytes for timing in timings),
        "carried_bytes": max(timing.carried_bytes for timing in timings),
    }


def _sum_known(values: Sequence[float | None], digits: int | None = None) -> float | None:
    """The rounded sum over all tasks; None where a task's value is not known."""
    known = [value for value in values if value is not None]
    return round(sum(known), digits) if len(known) == len(values) else None
