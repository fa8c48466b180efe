"""A logger that neither ends a training nor makes it wait."""

from __future__ import annotations

import importlib
import logging
import queue
import shutil
import threading
from argparse import Namespace
from collections.abc import Callable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

speaker = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds that the end of a task waits for what a logger has still to write


class GuardedLogger(Logger):
    """One of Lightning's loggers, called in a thread of its own.

    The first time it fails that is said, and it is left alone. What it is slow with, a server far
    away, say, training does not wait for.

    Args:
        label: its name in params.yaml.
        path: ``module:class`` of the logger, which takes ``save_dir``, ``name`` and ``version``.
        folder: where it may write. Of an earlier process that trained the task, what lies in the
            folder of the run and the task is removed when this one begins to log: it logs all of
            the task's epochs again.
        run: the name of the run.
        task: the number of the task.
    """

    def __init__(self, label: str, path: str, folder: Path, run: str, task: int) -> None:
        self.label = label
        self._run = run
        self._version = f"task_{task}"
        self._failed = False
        self._calls: queue.SimpleQueue[Callable[[Logger], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

        def open_logger() -> Logger:
            shutil.rmtree(folder / run / self._version, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            module, _, kind = path.partition(":")
            found: Logger = getattr(importlib.import_module(module), kind)(
                save_dir=str(folder), name=run, version=self._version
            )
            return found

        self._open = open_logger

    @property
    def name(self) -> str:
        """The name of the run."""
        return self._run

    @property
    def version(self) -> str:
        """The task, e.g. ``task_2``."""
        return self._version

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of a step, and write them: who watches sees them at once."""
        held = dict(metrics)
        self._call(lambda logger: logger.log_metrics(held, step))
        self._call(methodcaller("save"))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Log the params of the run."""
        self._call(lambda logger: logger.log_hyperparams(params, *more, **named))

    def save(self) -> None:
        """Write what has been logged so far."""
        self._call(methodcaller("save"))

    def finalize(self, status: str) -> None:
        """End: ``success`` or ``failed``; wait a while for what is still to be written."""
        if self._thread is None:
            return
        self._call(lambda logger: logger.finalize(status))
        self._calls.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._leave(f"it has not ended after {PATIENCE:.0f} s")
        self._thread = None

    def _call(self, call: Callable[[Logger], object]) -> None:
        if self._thread is None:
            # It ends with the process, whatever it waits for.
            self._thread = threading.Thread(target=self._work, name=self.label, daemon=True)
            self._thread.start()
        self._calls.put(call)

    def _work(self) -> None:
        """Open the logger and call it, until it fails."""
        held: Logger | None = None
        while (call := self._calls.get()) is not None:
            if self._failed:
                continue
            try:
                held = held or self._open()
                call(held)
            except Exception as error:
                self._leave(" ".join(f"{type(error).__name__}: {error}".split()))

    def _leave(self, what: str) -> None:
        if not self._failed:
            self._failed = True
            speaker.warning(
                "logger %s failed (%s); training goes on without it", self.label, what[:300]
            )
