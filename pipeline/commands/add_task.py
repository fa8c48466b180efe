"""add-task: append a folder to the stream, so that it becomes the next task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts.training_log import read_seconds
from pipeline.building.data import open_source
from pipeline.building.stream_changes import find_first_new
from pipeline.building.stream_contents import list_contents, read_known
from pipeline.commands.next_task import change_params, list_stream_folders
from pipeline.config.chain import ensure_slots, read_slots
from pipeline.config.outside_folders import list_outside
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_preparation, plan_reading
from pipeline.config.presets import merge, require_writable_path
from pipeline.config.read import parse_params
from pipeline.config.stream import count_tasks
from pipeline.data.image_files.kinds import KINDS
from pipeline.data.image_files.tree import list_images
from pipeline.data.parts import PARTS
from pipeline.data.stream.folders import find_entry
from pipeline.errors import DataError, ParamsError
from pipeline.files.edits import replace_text
from pipeline.files.sealed_json import dump_json


@dataclass(frozen=True)
class Addition:
    """A task that is appended.

    Attributes:
        text: the new text of the params file.
        changes: one line for each changed param.
        params: the new params.
        name: of the task.
        train: the number of its training images.
        test: the number of its test images.
        classes: the number of its classes.
        first: the number of the first task that has no split, or another one than it had.
        cut: how many tasks were cut before.
    """

    text: str
    changes: Sequence[str]
    params: Params
    name: str
    train: int
    test: int
    classes: int
    first: int
    cut: int


def run(path: Path, params: Params, folder: Path, *, dry_run: bool) -> None:
    """Append a folder as the next task, and say what will train.

    Args:
        path: the params file; its comments stay.
        params: what it holds.
        folder: a task's folder, a domain's or a class's, as the scenario has it.
        dry_run: say it only.

    Raises:
        PipelineError: the scenario has no such tasks, or the folder is none of them, is in the
            stream already, or has too few images.
    """
    before = path.read_text(encoding="utf-8")
    added = append_folder(before, params, folder)
    lines = [*added.changes, *_describe(added)]
    tasks, outside = count_tasks(added.params), list_outside(added.params)
    if 0 < read_slots() < tasks:
        lines.append(f"dvc.yaml: slots for {read_slots()} -> {tasks} tasks")
    # Before it is printed: `| head` ends the program there.
    if not dry_run:
        ensure_slots(tasks, outside)
        replace_text(path, before, added.text)
    print("\n".join([*lines, "nothing was written" if dry_run else "next: dvc repro"]))


def append_folder(
    text: str, params: Params, folder: Path, folders: Sequence[str] | None = None
) -> Addition:
    """Append a folder to the stream that a params file describes; nothing is written.

    Errors are those of ``run``.

    Args:
        text: of the params file.
        params: what it holds.
        folder: as ``run`` takes it.
        folders: of scenario: folders: the tasks before it; None: those that params name now.
    """
    folder = find_entry(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds the next task's images")
    try:
        require_writable_path(folder, "the folder")
    except ParamsError as error:  # a fault of the folder's, so a growth leaves it out
        raise DataError(str(error)) from error
    if not list_images(folder, folder):
        raise DataError(f"{folder} holds no {KINDS} image yet; put some into it first")
    if params.scenario == "folders" and folders is None:
        folders = list_stream_folders(params, folder)
    changed = change_params(params, folder, folders or ())
    if params.num_tasks is not None:
        # A growth that was stopped may have counted the folder already.
        whole = params.scenario == "folders" and params.data.folders is None
        changed["num_tasks"] = 1 + (len(folders or ()) if whole else params.num_tasks)
    text, changes = merge(text, dump_json(changed))
    grown = parse_params(text, "the params with the new task")
    plan, how = plan_preparation(grown), plan_reading(grown)
    if plan.stream.looks_ahead:
        name = "imbalanced" if plan.stream.imbalanced > 1 else "blurred"
        raise ParamsError(
            f"stream.{name} decides what a task holds by how many there are or by the one after "
            "it, so a task more would change those before it; such a stream does not grow"
        )
    source = open_source(plan.dataset, how, look=False)
    known = read_known(plan)
    tasks = list_contents(plan, source, known)
    task, first = tasks[-1], find_first_new(known, tasks)
    train, test = (len(task.keys(part)) for part in PARTS)
    classes = {name for part in PARTS for name in task.names(part)}
    if train < params.train.batch_size:
        raise DataError(
            f"{folder} has {train} training images, fewer than train.batch_size "
            f"({params.train.batch_size}); wait for more, or lower it for all tasks"
        )
    return Addition(text, changes, grown, folder.name, train, test, len(classes), first, len(known))


def _describe(added: Addition) -> list[str]:
    """What the new task holds, what will train, and how long the last tasks took."""
    number, first = count_tasks(added.params), added.first
    labels = f"{added.classes} classes" if added.classes else "no labels"
    lines = [
        f"task {number} ({added.name}): {added.train} training, {added.test} test images, {labels}"
    ]
    if first <= added.cut and first < number:
        lines.append(f"tasks {first} to {number} train: the params cut task {first} in another way")
    elif first < number:
        lines.append(f"tasks {first} to {number} train: those before it were not cut yet")
    else:
        lines.append(f"task {number} trains; no task before it does")
    if took := [f"{seconds:.0f} s" for seconds in read_seconds(number - 1)[-3:]]:
        lines.append(f"the last tasks took {', '.join(took)} to train")
    return lines
