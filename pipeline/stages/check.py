"""check: would the pipeline run here? Reads everything, writes nothing."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.device import Device, choose_device
from pipeline.errors import RunError
from pipeline.stages.plan import resolve
from pipeline.stages.slots import open_source


def run(params: Params, device: Device) -> None:
    """Print one line for each thing that is in order.

    Raises:
        PipelineError: the first one that is not.
    """
    print(f"params: {params.method} with {params.strategy}, {params.num_tasks} tasks")
    slot = resolve(params)["prepare"]
    assert slot is not None, "the plan has no prepare slot"
    source = open_source(slot)
    print(f"data: {len(source.labels('train'))} training, {len(source.labels('test'))} test images")
    if device is not Device.auto:
        print(f"device: {choose_device(device)}")
    require_repository(Path.cwd())
    print("repository: git and DVC")


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
