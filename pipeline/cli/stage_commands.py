"""The stages of dvc.yaml, one command each."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from pipeline import layout
from pipeline.cli.app import (
    DeviceOption,
    ParamsOption,
    PlannedOption,
    StateArgument,
    TaskArgument,
    app,
    lock_stage,
    require_plans,
)
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device
from pipeline.runtime.empty_slots import write_if_empty


@app.command()
def plan(
    params: ParamsOption = layout.PARAMS,
    slots: Annotated[
        int | None, typer.Option("--slots", help="For dvc.yaml: the number of its task slots.")
    ] = None,
) -> None:
    """Validate the params and write what each stage needs to data/plan."""
    from pipeline.stages.stage_inputs import note_plan

    inputs = note_plan(params)
    from pipeline.config.chain import check_slots
    from pipeline.config.read import load_params
    from pipeline.stages import plan as stage

    read = load_params(params)
    if slots is not None:
        check_slots(slots)
    with lock_stage("plan", layout.PLAN):
        stage.write(read, inputs)


@app.command(hidden=True)
def code() -> None:
    """For dvc.yaml of a project without the code: write which code is installed."""
    from pipeline.stages import code as stage

    stage.write()


@app.command(hidden=True)
def confirm(params: ParamsOption = layout.PARAMS) -> None:
    """For dvc.yaml, after plan: check that data/plan is of the params and the code as they are."""
    from pipeline.config.read import load_params
    from pipeline.stages import plan as stage

    stage.confirm(load_params(params))


@app.command()
def prepare(params: ParamsOption = layout.PARAMS, planned: PlannedOption = False) -> None:
    """Cut the data set into tasks."""
    require_plans("prepare", params=params, planned=planned)
    from pipeline.stages.stage_inputs import note_preparation

    inputs = note_preparation()
    from pipeline.stages import prepare as stage

    with lock_stage("prepare", layout.SPLITS):
        stage.run(inputs)


@app.command()
def init(params: ParamsOption = layout.PARAMS, planned: PlannedOption = False) -> None:
    """Make the network that the stream starts from, state 0."""
    require_plans("init", params=params, planned=planned)
    from pipeline.stages.stage_inputs import note_initialization

    inputs = note_initialization()
    from pipeline.stages import init as stage

    with lock_stage("init", layout.state(0)):
        stage.run(inputs)


@app.command()
def train(
    task: TaskArgument,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
    planned: PlannedOption = False,
) -> None:
    """Train one task from the previous task's state."""
    slot = f"train_{task}"
    require_plans(slot, params=params, planned=planned)
    if planned and write_if_empty(task):
        return
    from pipeline.stages.stage_inputs import note_training

    inputs = note_training(task)
    before_torch()
    from pipeline.stages import train as stage

    with lock_stage(slot, *layout.train_outputs(task)) if stage.writes() else nullcontext():
        code = stage.run(task, device, inputs)
    raise typer.Exit(code)


@app.command()
def evaluate(
    task: StateArgument = None,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
    planned: PlannedOption = False,
) -> None:
    """Score the states, each or one, and draw a few images with their augmented views."""
    require_plans("evaluate", "views", params=params, planned=planned)
    from pipeline.stages.stage_inputs import note_evaluation

    inputs = note_evaluation(task)
    from pipeline.stages import evaluate as stage

    outputs = (layout.EVALUATIONS, layout.FEATURES, layout.ENCODER, layout.VIEWS)
    with lock_stage("evaluate", *outputs):
        stage.run(device, inputs, task)


@app.command()
def report(
    params: ParamsOption = layout.PARAMS,
    planned: PlannedOption = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REVISION",
            help="Write reports/against.html too: the page with another run beside this one, "
            "from a git revision, a branch or a DVC experiment.",
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write the metrics, tables, plots and the page, and print the accuracy matrix."""
    require_plans("report", params=params, planned=planned)
    from pipeline.stages.stage_inputs import note_report

    inputs = note_report()
    from pipeline.stages import report as stage

    with lock_stage("report", layout.REPORTS):
        stage.run(inputs, against, open_)
