"""A logger whose failure ends no training."""

from __future__ import annotations

import importlib
import logging
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

speaker = logging.getLogger(__name__)


class GuardedLogger(Logger):
    """One of Lightning's loggers; the first time it fails that is said, and it is left alone.

    Args:
        label: its name in params.yaml.
        path: ``module:class`` of the logger, which takes ``save_dir``, ``name`` and ``version``.
        folder: where it may write.
        run: the name of the run.
        task: the number of the task.
    """

    def __init__(self, label: str, path: str, folder: Path, run: str, task: int) -> None:
        self.label = label
        self.held: Logger | None = None
        self._run = run
        self._version = f"task_{task}"

        def open_logger() -> Logger:
            module, _, kind = path.partition(":")
            found: Logger = getattr(importlib.import_module(module), kind)(
                save_dir=str(folder), name=run, version=self._version
            )
            return found

        self.held = self._guard(open_logger)

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
        if self.held is not None:
            self._guard(self.held.log_metrics, dict(metrics), step)
        if self.held is not None:
            self._guard(self.held.save)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Log the params of the run."""
        if self.held is not None:
            self._guard(self.held.log_hyperparams, params, *more, **named)

    def save(self) -> None:
        """Write what has been logged so far."""
        if self.held is not None:
            self._guard(self.held.save)

    def finalize(self, status: str) -> None:
        """End: ``success`` or ``failed``."""
        if self.held is not None:
            self._guard(self.held.finalize, status)

    def _guard(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Return the answer of a call; None where it fails, and the logger is gone then."""
        try:
            with warnings.catch_warnings():
                # Of a task begun anew; no row is lost: all are logged again.
                warnings.filterwarnings("ignore", ".*Previous log files in this directory will.*")
                return call(*given, **named)
        except Exception as error:
            self.held = None
            what = " ".join(f"{type(error).__name__}: {error}".split())
            speaker.warning(
                "logger %s failed (%s); training goes on without it", self.label, what[:300]
            )
            return None
