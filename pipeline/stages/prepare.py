"""prepare: cut the data set into tasks, once, and write down which images they hold."""

from __future__ import annotations

import logging
from typing import cast

import numpy as np

from pipeline import layout
from pipeline.data.tasks import class_incremental
from pipeline.errors import DataError
from pipeline.files import Json, digest, write_sealed
from pipeline.stages.slots import open_source, part, require_slot

logger = logging.getLogger(__name__)


def run() -> None:
    """Write data/splits/task_1.json and on; slots above num_tasks hold ``null``.

    Raises:
        DataError: images or labels are missing or damaged, or a task would be empty.
    """
    slot = require_slot("prepare")
    source = open_source(slot)
    dataset = part(slot, "dataset")
    names = cast(list[str], dataset["classes"])
    fingerprints = {"train": source.fingerprint("train"), "test": source.fingerprint("test")}
    labels = {"train": source.labels("train"), "test": source.labels("test")}
    groups = class_incremental(
        len(names), cast(int, slot["num_tasks"]), cast(int, slot["split_seed"])
    )
    splits: list[Json | None] = []
    for task, classes in enumerate(groups, start=1):
        split: Json = {
            "task": task,
            "scenario": slot["scenario"],
            "dataset": dataset["name"],
            "classes": list(classes),
            "class_names": [names[label] for label in classes],
            "fingerprint": dict(fingerprints),
        }
        for name, values in labels.items():
            chosen = np.flatnonzero(np.isin(values, classes))
            if len(chosen) == 0:
                raise DataError(f"{source.root}: the {name} part has no image of task {task}")
            split[name] = chosen.tolist()
        splits.append(split)
        logger.info(
            "task %d: %s (%d training, %d test images)",
            task,
            ", ".join(names[label] for label in classes),
            len(cast(list[int], split["train"])),
            len(cast(list[int], split["test"])),
        )
    splits += [None] * (cast(int, slot["slots"]) - len(splits))
    for task, content in enumerate(splits, start=1):
        write_sealed(layout.split(task), content)
    # Apart from the tasks' files: a param that moves no image must not train them again.
    write_sealed(layout.SPLIT_ORIGIN, {"plan": digest(slot)})
