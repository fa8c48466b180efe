"""check: whether the pipeline can run here. Reads everything, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.artifacts.split import Split
from pipeline.artifacts.split_origin import was_cut_alike
from pipeline.building.cut_stream import cut_stream
from pipeline.building.data import LABELLED_TWICE, open_labelled, open_source
from pipeline.building.stream_changes import describe_changes, find_first_new
from pipeline.building.stream_contents import list_contents, read_known
from pipeline.building.task_images import TaskImages
from pipeline.commands.check_backbone import check_backbone
from pipeline.commands.check_budget import check_budget
from pipeline.commands.check_images import (
    describe_cut,
    describe_images,
    describe_test_part,
    describe_tree,
    list_problems,
)
from pipeline.commands.check_transfer import check_transfer
from pipeline.commands.check_weights import check_weights, forget_weights
from pipeline.config.chain import list_unknown, read_slots, require_slots
from pipeline.config.outside_folders import list_outside, require_apart
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_labelled, plan_preparation, plan_reading
from pipeline.config.registry.probes import list_while_training
from pipeline.config.registry.strategies import reads_past
from pipeline.config.stream import count_tasks, fix_stream
from pipeline.data.datasets.file_source import FileSource
from pipeline.data.parts import PARTS
from pipeline.data.source import Source
from pipeline.errors import ParamsError, PipelineError, RunError
from pipeline.files.atomic import require_writable
from pipeline.reporting.task_contents import remark_on_tasks
from pipeline.runtime.device import Device, choose_device, require_devices
from pipeline.runtime.dvc_repository import require_dvc_repository


def run(params: Params, device: Device, *, deep: bool = False) -> None:
    """Print what is understood of params, images, device and repository, and all problems.

    Args:
        params: to check.
        device: where it shall train.
        deep: decode all images, as prepare will.

    Raises:
        RunError: there are problems; a line for each.
    """
    params = fix_stream(params)
    print(f"params: {params.method} with {params.strategy}, {count_tasks(params)} tasks")
    problems = check_weights(params)
    if problems:  # what is wrong with the images is to be said all the same
        params = forget_weights(params)
    steps: list[Callable[[], object]] = [
        lambda: problems.extend(_check_data(params, deep=deep)),
        lambda: require_apart(params),
        lambda: check_backbone(params),
        lambda: problems.extend(check_transfer(params)),
        lambda: _check_machine(params, device),
        lambda: _check_repository(params),
    ]
    for step in steps:
        try:
            step()
        except PipelineError as error:
            problems.append(str(error))
    if problems:
        raise RunError("\n".join(dict.fromkeys(problems)))  # several steps may find the same


def _check_repository(params: Params) -> None:
    """Check that ``dvc repro`` can run here, with a slot for each task."""
    require_writable(layout.OUTPUT_FOLDERS)
    repository = require_dvc_repository(Path.cwd())
    require_slots(count_tasks(params))
    print(f"repository: {repository}")
    if unknown := list_unknown(list_outside(params)):
        print(
            f"dvc.yaml does not name {', '.join(unknown)}, so `dvc repro` does not notice when "
            f"something changes there; `cassle slots {read_slots()}` writes it"
        )


def _check_machine(params: Params, device: Device) -> None:
    """Check the given device, and print how a batch is divided over devices."""
    train = params.train
    if device is not Device.auto:
        require_devices(choose_device(device), train.devices)
        print(f"device: {device}")
    count = train.devices * train.num_nodes
    if count * train.accumulate_grad_batches > 1:
        share = train.batch_size // (count * train.accumulate_grad_batches)
        print(f"batch: {train.batch_size} images, {share} at a time on each of {count} devices")


def _check_data(params: Params, *, deep: bool) -> list[str]:
    """Say what the images are understood to be, and what changed; return all problems."""
    plan, how = plan_preparation(params), plan_reading(params)
    source = open_source(plan.dataset, how, look=deep)
    if wanted := source.describe_download():
        print(
            f"data: prepare has to fetch or unpack {wanted}; without a network it says what to "
            "put there"
        )
        return []
    problems: list[str] = []
    known = read_known(plan)
    try:
        tasks = list_contents(plan, source, known)
    except PipelineError as error:
        if isinstance(source, FileSource) and source.root.is_dir():
            problems = _survey(params, source)
        return [*problems, str(error)]
    sizes = [len(task.keys("train")) for task in tasks]
    tested = tasks[-1:] if plan.scenario == "data" else tasks
    test = sum(len(task.keys("test")) for task in tested)
    print(f"data: {sum(sizes)} training and {test} test images, {min(sizes)} or more a task")
    if cut := describe_cut(plan.stream):
        print(cut)
    for line in describe_tree(tasks, plan.scenario):
        print(line)
    if isinstance(source, FileSource):
        print(describe_test_part(params, tasks))
        for line in describe_images(source, tasks):
            print(line)
        problems += _survey(params, source)
    if (smallest := min(sizes)) < params.train.batch_size:
        problems.append(
            f"train.batch_size ({params.train.batch_size}) is above the {smallest} images of "
            f"task {sizes.index(smallest) + 1}, the smallest; lower it"
            f"{', stream.imbalanced' if plan.stream.imbalanced > 1 else ''} or num_tasks"
        )
    else:
        problems += check_budget(params, sizes)
    for line in list_changes(plan, source, known, tasks, looks_back=reads_earlier_images(params)):
        print(line)
    try:
        if deep:
            splits = cut_stream(plan, source, known)
            print("images: all were decoded")
            for line in remark_on_tasks(splits):
                print(line)
        labels = any(task.names("test") for task in tasks)
        probing = params.evaluation.every is not None
        _check_labels(plan_labelled(params), how, labels, probing, deep=deep)
        if not any(task.names("train") for task in tasks):
            _require_no_online(params)
    except PipelineError as error:
        problems.append(str(error))
    return problems


def _survey(params: Params, source: FileSource) -> list[str]:
    """Say what else the folder of images holds; return problems with it."""
    skip = params.data.on_bad_image == "skip"
    remarks, problems = list_problems(source, params.data.root, skip=skip)
    for line in remarks:
        print(line)
    return problems


def reads_earlier_images(params: Params) -> bool:
    """Return whether a strategy reads the images of a task once that has ended."""
    return reads_past(params.strategy.split("+"), online=params.stream.online)


def list_changes(
    plan: PreparePlan,
    source: Source,
    known: Sequence[Split],
    tasks: Sequence[TaskImages | Split],
    *,
    looks_back: bool,
) -> list[str]:
    """Return what has changed since the stream was cut, line by line; none if it was not.

    Args:
        plan: of the stream as it is now.
        source: the data set.
        known: the splits of the tasks as they were cut.
        tasks: what each task holds now.
        looks_back: whether a strategy reads the images of the task before.

    Raises:
        DataError: images are missing.
    """
    same_tasks = find_first_new(known, tasks) > min(len(known), len(tasks))
    if known and not was_cut_alike(plan, same_tasks=same_tasks):
        return ["the params cut the stream in another way than before: its tasks train again"]
    return list(describe_changes(source, known, tasks, looks_back=looks_back))


def _require_no_online(params: Params) -> None:
    """Check that no probe learns from labels while the network trains.

    Raises:
        ParamsError: one does.
    """
    if names := list_while_training(params.evaluation.probes):
        raise ParamsError(
            f"evaluation.probes: {names[0]} learns from labelled training images, and no task "
            "has any; leave it out"
        )


def _check_labels(
    folder: DatasetPlan | None, how: ReadingPlan, labels: bool, probing: bool, *, deep: bool
) -> None:
    """Check the labelled folder for evaluation, which tasks without labels need.

    Raises:
        PipelineError: it cannot be used, or is not needed; or there is none, and probes need it
            while tasks train.
    """
    if folder is not None and labels:
        raise ParamsError(LABELLED_TWICE)
    if folder is not None:
        source = open_labelled(folder, how, look=deep)
        counts = {part: len(source.labels(part)) for part in PARTS}
        print(
            f"labels: {len(source.class_names())} classes in {source.root}, {counts['train']} "
            f"images to learn from, {counts['test']} to test on"
        )
    elif not labels and probing:
        raise ParamsError(
            "evaluation.every: probes while a task trains need labelled test images, and no task "
            "has any; name a folder of class folders as data.labelled_root, or set it to null"
        )
    elif not labels:
        print(
            "labels: none to test on; training works, no accuracy is measured without "
            "data.labelled_root"
        )
