"""check: whether the pipeline can run here. Reads everything, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.artifacts.split import Split
from pipeline.artifacts.split_origin import was_cut_alike
from pipeline.building.data import LABELLED_TWICE, open_labelled, open_source
from pipeline.building.stream_changes import describe_changes
from pipeline.building.stream_contents import (
    TaskImages,
    list_contents,
    read_known,
)
from pipeline.config.chain import require_slots
from pipeline.config.params import Params
from pipeline.config.plan_data import plan_labelled, plan_preparation, plan_reading
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.stream import count_tasks
from pipeline.data.source import Source
from pipeline.errors import ParamsError, RunError
from pipeline.runtime.device import Device, choose_device, require_devices


def run(params: Params, device: Device) -> None:
    """Check params, data, device and repository; print one line for each.

    Raises:
        PipelineError: the first problem.
    """
    print(f"params: {params.method} with {params.strategy}, {count_tasks(params)} tasks")
    _check_data(params)
    _check_machine(params, device)
    require_repository(Path.cwd())
    require_slots(count_tasks(params))
    print("repository: git and DVC")


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


def _check_data(params: Params) -> None:
    """Check that the images exist and that each task has enough of them; say what changed."""
    plan, how = plan_preparation(params), plan_reading(params)
    source = open_source(plan.dataset, how, look=False)
    if wanted := source.describe_download():
        print(
            f"data: prepare has to fetch or unpack {wanted}; without a network it says what to "
            "put there"
        )
        return
    known = read_known(plan)
    tasks = list_contents(plan, source, known)
    sizes = [len(task.keys("train")) for task in tasks]
    smallest = min(sizes)
    if smallest < params.train.batch_size:
        number = sizes.index(smallest) + 1
        raise ParamsError(
            f"train.batch_size ({params.train.batch_size}) is above the {smallest} images of "
            f"task {number}, the smallest; lower it or num_tasks"
        )
    tested = tasks[-1:] if plan.scenario == "data" else tasks
    test = sum(len(task.keys("test")) for task in tested)
    print(f"data: {sum(sizes)} training and {test} test images, {smallest} or more a task")
    for line in list_changes(plan, source, known, tasks, params.strategy):
        print(line)
    labels = any(task.names("test") for task in tasks)
    _check_labels(plan_labelled(params), how, labels)


def list_changes(
    plan: PreparePlan,
    source: Source,
    known: Sequence[Split],
    tasks: Sequence[TaskImages | Split],
    strategy: str,
) -> list[str]:
    """Return what has changed since the stream was cut, line by line; none if it was not.

    Args:
        plan: of the stream as it is now.
        source: the data set.
        known: the splits of the tasks as they were cut.
        tasks: what each task holds now.
        strategy: the names of strategies, joined by ``+``.

    Raises:
        DataError: images are missing.
    """
    if known and not was_cut_alike(plan):
        return ["the params cut the stream in another way than before: its tasks train again"]
    looks_back = any(STRATEGIES[name].looks_back for name in strategy.split("+"))
    return list(describe_changes(source, known, tasks, looks_back=looks_back))


def _check_labels(folder: DatasetPlan | None, how: ReadingPlan, labels: bool) -> None:
    """Check the labelled folder for evaluation, which tasks without labels need.

    Raises:
        PipelineError: it cannot be used, or is not needed.
    """
    if folder is not None and labels:
        raise ParamsError(LABELLED_TWICE)
    if folder is not None:
        source = open_labelled(folder, how, look=False)
        print(f"labels: {len(source.class_names())} classes in {source.root}")
    elif not labels:
        print("labels: none; training works, evaluation needs data.labelled_root")


def require_repository(folder: Path) -> None:
    """Check that ``dvc repro`` can run in a folder.

    Raises:
        RunError: it is not the root of a git and DVC repository.
    """
    for name, command in ((".git", "git init"), (".dvc", "dvc init")):
        if not (folder / name).exists():
            raise RunError(
                f"{folder} is not a {command.split()[0]} repository, which `dvc repro` needs; "
                f"clone the project or run `{command}` (single stages run without: "
                "cassle plan, prepare, init, train, evaluate, report)"
            )
