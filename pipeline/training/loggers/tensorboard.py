"""TensorBoard: one run a training of the stream, with a file of events for each task."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger

PREFIX = "events.out.tfevents."


class TensorBoard(TensorBoardLogger):
    """Lightning's logger for TensorBoard, with all tasks in one run.

    A task that is trained again, or goes on, takes the place of its earlier points.

    Args:
        save_dir: the folder of all runs.
        name: of the run.
        version: of the task, ``task_2``, say.
    """

    def __init__(self, *, save_dir: str, name: str, version: str) -> None:
        _make_room(Path(save_dir, name), version)
        super().__init__(
            save_dir,
            name=name,
            version="",
            default_hp_metric=False,
            filename_suffix=f".{version}",
        )

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Log the params as a text, and write them into hparams.yaml."""
        super().log_hyperparams(params, *more, **named)
        held = vars(params) if isinstance(params, Namespace) else params
        # TensorBoard shows Markdown, where four spaces make code.
        lines = json.dumps(held, indent=2).splitlines()
        self.experiment.add_text("params", "\n".join(f"    {line}" for line in lines))


def _make_room(folder: Path, version: str) -> None:
    """Remove a task's files, and have those of later tasks come after its new one.

    TensorBoard reads files in the order of their names, which begin with the time.
    """
    task = int(version.removeprefix("task_"))
    for file in folder.glob(f"{PREFIX}*.task_*"):
        number = int(file.name.rpartition("_")[2])
        if number == task:
            file.unlink()
        elif number > task:
            _, _, rest = file.name.removeprefix(PREFIX).partition(".")
            file.rename(file.with_name(f"{PREFIX}{int(time.time()) + number}.{rest}"))
