"""What check understood of the images, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.artifacts.split import Split
from pipeline.building.task_images import TaskImages
from pipeline.config.params import Params
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.part_folders import TESTS
from pipeline.data.image_files.survey import (
    describe_headers,
    look_like_sizes,
    read_headers,
    survey_folder,
)
from pipeline.data.image_files.tree import describe_others
from pipeline.data.parts import PARTS
from pipeline.data.stream.scenarios import StreamOptions
from pipeline.reporting.text_formats import show_controls
from pipeline.runtime.git import find_untracked_reason

MAX_TASKS = 20  # that are shown
MAX_CLASSES = 12  # of a task that are shown


def describe_tree(tasks: Sequence[TaskImages | Split], scenario: str) -> Iterator[str]:
    """Yield a line for each task: its domain or folder, its images, its classes with counts.

    Args:
        tasks: what each task holds.
        scenario: of the stream.
    """
    for number, task in enumerate(tasks[:MAX_TASKS], start=1):
        name = "" if task.domain is None else f" {show_controls(task.domain)}"
        counts = {part: len(task.keys(part)) for part in PARTS}
        tested = f", {counts['test']} to test on" if counts["test"] else ""
        held = {part: Counter(task.names(part)) for part in PARTS}
        names = sorted(held["train"] | held["test"])
        foreign = {name: held["train"][name] for name in task.drifting or ()}
        names = [name for name in names if name not in foreign]
        each = [
            f"{show_controls(c)} {held['train'][c]}+{held['test'][c]}" for c in names[:MAX_CLASSES]
        ]
        more = [f"{len(names) - MAX_CLASSES} more"] if len(names) > MAX_CLASSES else []
        classes = f"; {len(names)} classes: {', '.join([*each, *more])}" if names else "; no labels"
        if foreign:
            classes += f"; {sum(foreign.values())} images of neighbours' classes"
        yield f"  task {number}{name}: {counts['train']} images to learn from{tested}{classes}"
    if len(tasks) > MAX_TASKS:
        yield f"  and {len(tasks) - MAX_TASKS} more tasks"
    if scenario == "data" and len(tasks) > 1:
        yield "  all tasks are tested on the same images"


def describe_cut(cut: StreamOptions) -> str:
    """Return what params say of how the stream is cut; empty: nothing."""
    said = []
    if cut.imbalanced > 1:
        said.append(f"the longest task keeps {cut.imbalanced:g} times the share of the shortest")
    if cut.blurred:
        said.append(f"neighbours mix {cut.blurred:g} of a task's training images")
    if cut.superclasses:
        said.append(f"classes come by {len(cut.superclasses)} superclasses")
    if cut.irregular:
        what = "superclasses" if cut.superclasses else "classes"
        said.append(f"numbers of {what} are drawn")
    return f"stream: {'; '.join(said)}" if said else ""


def describe_test_part(params: Params, tasks: Sequence[TaskImages | Split]) -> str:
    """Return what the test part is, and why."""
    data = params.data
    tested = next((key for task in tasks for key in task.keys("test")), None)
    if tested is None:
        return "test part: none; there are no labels, or data.holdout is 0"
    folders = Path(str(tested)).parts
    given = next((name for name in TESTS if name in folders[:2]), None)
    if given is not None:
        return f"test part: the folder {given}/"
    if params.dataset != "image_folder":
        return "test part: the data set's own"
    by = "" if data.holdout_by == "file" else f", by {data.holdout_by}"
    return f"test part: {data.holdout:g} of each class, held out{by} (data.holdout)"


def list_problems(source: FileSource, root: str, *, skip: bool) -> tuple[list[str], list[str]]:
    """Return remarks on a folder of images, and problems that stop the pipeline.

    Args:
        source: the data set.
        root: its folder as params name it.
        skip: whether params leave out images that cannot be read.
    """
    remarks = list(source.remarks)
    found = survey_folder(source.root)
    problems = []
    if others := describe_others(found.others):
        remarks.append(f"left out, as they are no images: {others}")
    tracked = not Path(root).is_absolute()
    strange = [("links to nothing", found.broken, "remove them")]
    strange += [("pipes or devices", found.special, "remove them")]
    strange += [
        (f"cannot be read ({why})", paths, "make them readable for this user")
        for why, paths in found.unreadable.items()
    ]
    for what, paths, remedy in strange:
        if not paths:
            continue
        if tracked or not skip:
            why = " (`dvc repro` reads all of the folder and fails on them)" if skip else ""
            problems.append(
                f"{source.root}: {len(paths)} {what}: {list_first(paths)}; {remedy}{why}"
            )
        else:
            remarks.append(f"left out: {len(paths)} {what}: {list_first(paths)}")
    if tracked and (reason := find_untracked_reason(Path(root))):
        remarks.append(
            f"data.root: {root} {reason}, so experiments with --temp or --queue do not see it; "
            f"name it by its absolute path, {Path(root).resolve()}, or track it (`dvc add`)"
        )
    return remarks, problems


def describe_images(source: FileSource, tasks: Sequence[TaskImages | Split]) -> Iterator[str]:
    """Yield remarks on the images of all tasks, by their headers and the names of folders."""
    paths = sorted({str(key) for task in tasks for part in PARTS for key in task.keys(part)})
    yield describe_headers(read_headers(source.root, paths), len(paths))
    classes = {name for task in tasks for part in PARTS for name in task.names(part)}
    domains = {task.domain for task in tasks if task.domain is not None}
    for names in (sorted(classes), sorted(domains)):
        if look_like_sizes(names):
            yield (
                f"folders are named by sizes ({list_first(names)}): the same image in several "
                "sizes may stand in the training and in the test part; data.holdout_by: name "
                "keeps it on one side"
            )
