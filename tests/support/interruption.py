"""Stop a training at a step that is chosen."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from pipeline import layout
from pipeline.training.learner import Learner


class KilledError(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], None]) -> None:
    """Do something when a step is about to be taken, once."""
    original = Learner.training_step
    waiting = [step]

    def training_step(self: Learner, images: Tensor, index: int) -> Tensor:
        if waiting and self.position.step == waiting[0]:
            waiting.clear()
            act()
        return original(self, images, index)

    monkeypatch.setattr(Learner, "training_step", training_step)


def kill() -> None:
    raise KilledError


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def checkpoints() -> list[Path]:
    return sorted(layout.CHECKPOINTS.rglob("*.safetensors"))
