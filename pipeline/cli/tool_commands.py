"""Commands that dvc.yaml does not run: check, export, compare, clean, slots, list."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from pipeline import layout
from pipeline.cli.app import DeviceOption, ParamsOption, app, lock_stage, require_plans
from pipeline.errors import ParamsError
from pipeline.runtime.device import Device


class Registry(StrEnum):
    """The registries that ``cassle list`` can print."""

    methods = "methods"
    strategies = "strategies"
    datasets = "datasets"
    backbones = "backbones"
    optimizers = "optimizers"
    loggers = "loggers"
    probes = "probes"


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new folder.")],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="A folder of your own images.",
            show_default="a subset of Fashion-MNIST, which is copied",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="With --images: own_images for photographs.",
            show_default="own_images_small",
        ),
    ] = None,
    no_git: Annotated[bool, typer.Option("--no-git", help="Have DVC do without git.")] = False,
) -> None:
    """Make a project folder: params.yaml, dvc.yaml, presets, a repository of git and DVC."""
    from pipeline.commands import new_project as command

    command.run(folder, images, preset, git=not no_git)


@app.command()
def check(
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode all images, and look for repeated ones.")
    ] = False,
) -> None:
    """Show what is understood of params and images, and all problems; run nothing."""
    from pipeline.commands import check as stage
    from pipeline.config.read import load_params

    stage.run(load_params(params), device, deep=deep)


@app.command()
def export(
    output: Annotated[
        Path, typer.Option("--output", help="The folder to write; new or empty, but for --force.")
    ],
    task: Annotated[
        int | None,
        typer.Argument(
            min=0,
            max=layout.MAX_TASKS,
            help="The state after this task; 0 is the start.",
            show_default="the last one of the plan",
        ),
    ] = None,
    params: ParamsOption = layout.PARAMS,
    no_onnx: Annotated[bool, typer.Option("--no-onnx", help="Leave backbone.onnx out.")] = False,
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            help="Have backbone.onnx take the pixels of files, of any size: it lays them on the "
            "background, resizes and crops.",
        ),
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="NAME/REPO",
            help="Upload it to the Hugging Face hub too; a new repository is private.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier export.")
    ] = False,
) -> None:
    """Write a state's backbone for use elsewhere: for timm, torchvision, ONNX and the hub."""
    from pipeline.commands import export as stage
    from pipeline.runtime.locks import name_lock

    if no_onnx and with_preprocessing:
        raise ParamsError("--with-preprocessing is of backbone.onnx; leave --no-onnx out")
    require_plans("report", "evaluate", params=params, planned=False)
    number = stage.find_state(task)
    with lock_stage(name_lock("export", output)):
        stage.require_exportable(output, with_onnx=not no_onnx, force=force)
        stage.run(number, output, stage.Wanted(not no_onnx, with_preprocessing, push))


@app.command()
def compare(
    revisions: Annotated[
        list[str] | None,
        typer.Argument(
            help="Branches, tags, commits, DVC experiments or `workspace`.",
            show_default="the workspace and the experiments of the current commit",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="STRATEGY",
            help="The strategy that the others are compared with, on the seeds both have.",
            show_default="finetune, if there is some",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="A metric of reports/metrics.json, or `all`; may be repeated.",
            show_default="average_accuracy, forgetting, forward_transfer",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="Write it too: tables as .md, .csv or .tex, the page as .html, figures as .png, "
            "or all of it where the path has no suffix, e.g. reports/comparison.",
        ),
    ] = None,
    all_commits: Annotated[
        bool, typer.Option("--all-commits", help="The experiments of all commits.")
    ] = False,
    branches: Annotated[bool, typer.Option("--branches", help="The local branches too.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="The tags too.")] = False,
    workspace: Annotated[
        bool, typer.Option("--workspace/--no-workspace", help="Whether to read the workspace.")
    ] = True,
) -> None:
    """Put runs side by side: means over their seeds, and paired differences to a baseline."""
    from pipeline.commands import compare as stage

    choice = stage.Choice(revisions or [], all_commits, branches, tags, workspace)
    stage.run(choice, metric or [], baseline, output)


@app.command()
def clean(
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also what can still be used: checkpoints of the current plan, stores of images, "
            "features and evaluations of states.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List and remove what killed or abandoned runs left: stale checkpoints, unfinished files."""
    from pipeline.commands import clean as stage

    stage.run(everything=all_, ask=not yes)


@app.command()
def slots(
    count: Annotated[
        int, typer.Argument(min=2, max=layout.MAX_TASKS, help="How many tasks a run may have.")
    ],
    params: ParamsOption = layout.PARAMS,
) -> None:
    """Write the lists of tasks in dvc.yaml; no state is trained again for it."""
    from pipeline.config.chain import read_slots, write_slots
    from pipeline.config.outside_folders import list_outside
    from pipeline.config.read import load_params
    from pipeline.config.stream import require_room

    read = load_params(params)
    require_room(count, read)
    outside = list_outside(read)
    before = read_slots()
    write_slots(count, outside)
    print(f"dvc.yaml: slots for {before} -> {count} tasks")


@app.command("list")
def list_(what: Registry) -> None:
    """List what params.yaml can name."""
    components = getattr(import_module(f"pipeline.config.registry.{what}"), what.upper())
    for name, component in components.items():
        print(f"{name:14} {component.summary}")
