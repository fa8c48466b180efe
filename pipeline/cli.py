"""``cassle``: the stages one by one. Hyper-parameters live in params.yaml alone.

Importing this module imports neither torch nor pydantic: each command imports what it
needs, so ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline import layout
from pipeline.device import Device
from pipeline.empty_slots import write_if_empty
from pipeline.errors import (
    EXIT_LOST,
    EXIT_USER,
    InterruptedRunError,
    LostProcessError,
    PipelineError,
    shortage,
)
from pipeline.interruption import end_with_dvc, end_with_parent, stopping_at_once
from pipeline.processes import LAUNCHED, Launcher, Processes, these

app = typer.Typer(
    name="cassle",
    help="Continual self-supervised learning with CaSSLe. All stages in order: `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ParamsOption = Annotated[Path, typer.Option("--params", help="The params file.")]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where to run; auto takes a GPU if there is one.")
]
PlannedOption = Annotated[
    bool,
    typer.Option(
        "--planned",
        help="Trust data/plan as it stands instead of checking it against the params. "
        "For dvc.yaml, whose plan stage has just run.",
    ),
]
TaskArgument = Annotated[int, typer.Argument(min=1, max=layout.MAX_TASKS, help="The task, from 1.")]
StateArgument = Annotated[
    int,
    typer.Argument(min=0, max=layout.MAX_TASKS, help="The state after this task; 0 is random."),
]


class Registry(StrEnum):
    """What ``cassle list`` lists."""

    methods = "methods"
    strategies = "strategies"
    datasets = "datasets"
    backbones = "backbones"
    probes = "probes"


def _require_plan(name: str, params: Path, planned: bool) -> None:
    if planned:
        return
    from pipeline import config
    from pipeline.stages.plan import require_current

    require_current(config.load(params), name)


def _alone(stage: str, *outputs: Path) -> AbstractContextManager[None]:
    """Return what lets no other process write a stage's outputs meanwhile."""
    from pipeline.locks import hold_stage

    return hold_stage(stage, outputs)


def before_torch() -> None:
    """Make a process that trains or evaluates start and run faster; its results stay."""
    from pipeline.allocation import collect_seldom, keep_freed_memory
    from pipeline.lean_imports import defer

    collect_seldom()
    keep_freed_memory()
    defer()


@app.command()
def check(params: ParamsOption = layout.PARAMS, device: DeviceOption = Device.auto) -> None:
    """Check params, data, device and repository; run nothing."""
    from pipeline import config
    from pipeline.stages import check as stage

    stage.run(config.load(params), device)


@app.command()
def plan(params: ParamsOption = layout.PARAMS) -> None:
    """Validate the params and write what each stage needs to data/plan."""
    from pipeline import config
    from pipeline.stages import plan as stage

    read = config.load(params)
    with _alone("plan", layout.PLAN):
        stage.write(read)


@app.command()
def prepare(params: ParamsOption = layout.PARAMS, planned: PlannedOption = False) -> None:
    """Cut the data set into tasks."""
    _require_plan("prepare", params, planned)
    from pipeline.stages import prepare as stage

    with _alone("prepare", layout.SPLITS):
        stage.run()


@app.command()
def init(params: ParamsOption = layout.PARAMS, planned: PlannedOption = False) -> None:
    """Make the random network, state 0."""
    _require_plan("init", params, planned)
    from pipeline.stages import init as stage

    with _alone("init", layout.state(0)):
        stage.run()


@app.command()
def train(
    task: TaskArgument,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
    planned: PlannedOption = False,
) -> None:
    """Train one task from the previous task's state."""
    slot = f"train_{task}"
    _require_plan(slot, params, planned)
    if planned and write_if_empty("train", task):
        return
    before_torch()
    from pipeline.stages import together as stage

    with _alone(slot, *layout.outputs("train", task)) if stage.writes() else nullcontext():
        code = stage.run(task, device)
    raise typer.Exit(code)


@app.command()
def evaluate(
    task: StateArgument,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
    planned: PlannedOption = False,
) -> None:
    """Score the state after one task on the test images of all."""
    slot = f"evaluate_{task}"
    _require_plan(slot, params, planned)
    if planned and write_if_empty("evaluate", task):
        return
    before_torch()
    from pipeline.stages import evaluate as stage

    with _alone(slot, *layout.outputs("evaluate", task)):
        stage.run(task, device)
    if planned:
        from pipeline.stages import evaluate_ahead

        evaluate_ahead.run(task, device)


@app.command()
def views(params: ParamsOption = layout.PARAMS, planned: PlannedOption = False) -> None:
    """Draw a few images of each task and their augmented views."""
    _require_plan("views", params, planned)
    from pipeline.stages import views as stage

    with _alone("views", layout.VIEWS):
        stage.run()


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
    """Write the figures, tables, plots and the page, and print the accuracy matrix."""
    _require_plan("report", params, planned)
    from pipeline.stages import report as stage

    with _alone("report", layout.REPORTS):
        stage.run(against, open_)


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
            help="The state after this task; 0 is random.",
            show_default="the last one of the plan",
        ),
    ] = None,
    params: ParamsOption = layout.PARAMS,
    no_onnx: Annotated[bool, typer.Option("--no-onnx", help="Leave backbone.onnx out.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier export.")
    ] = False,
) -> None:
    """Write a state's backbone for use elsewhere: safetensors, ONNX, a model card."""
    from pipeline.stages import export as stage

    _require_plan("report", params, planned=False)
    number = stage.choose_state(task)
    _require_plan(f"evaluate_{number}", params, planned=False)
    with _alone(stage.lock_name(output)):
        stage.require_means(output, with_onnx=not no_onnx, force=force)
        stage.run(number, output, with_onnx=not no_onnx)


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
            help="A figure of reports/metrics.json, or `all`; may be repeated.",
            show_default="average_accuracy, forgetting, forward_transfer",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="Write the tables too: as .md, .csv or .tex, or all three where the path has "
            "no suffix, e.g. reports/comparison.",
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
    from pipeline.stages import compare as stage

    choice = stage.Choice(revisions or [], all_commits, branches, tags, workspace)
    stage.run(choice, metric or [], baseline, output)


@app.command()
def clean(
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also what can still be used: checkpoints of the current plan, stores of images, "
            "what was made ahead.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List and remove what killed or abandoned runs left: stale checkpoints, unfinished files."""
    from pipeline.stages import clean as stage

    stage.run(everything=all_, ask=not yes)


@app.command()
def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="steps, strategies, augmentation, evaluation, startup, whole, peers.",
            show_default="all",
        ),
    ] = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Measure speed as ratios within one run: reports/benchmark.md and .json."""
    from pipeline.stages import bench as stage

    with _alone("bench", stage.JSON, stage.TABLE):
        stage.run(parts or [], device)


presets_app = typer.Typer(
    help="Published settings, one file each under presets/.", no_args_is_help=True
)
app.add_typer(presets_app, name="preset")
PresetArgument = Annotated[str, typer.Argument(help="A name from `cassle preset list`.")]


@presets_app.command("list")
def preset_list() -> None:
    """List the presets."""
    from pipeline import presets

    for name in presets.names():
        print(f"{name:26} {presets.summary(name)}")


@presets_app.command("show")
def preset_show(name: PresetArgument) -> None:
    """Print what a preset sets."""
    from pipeline import presets

    print(presets.text(name), end="")


@presets_app.command("use")
def preset_use(name: PresetArgument, params: ParamsOption = layout.PARAMS) -> None:
    """Write a preset's values into the params file, and say what changed."""
    from pipeline import presets

    changes = presets.use(name, params)
    print(f"{params}: {len(changes)} params changed" if changes else f"{params} is as it was")
    for line in changes:
        print(f"  {line}")


@presets_app.command("cost")
def preset_cost(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names from `cassle preset list`.", show_default="all"),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0.001, help="The TFLOP/s that the hardware sustains: your assumption."
        ),
    ] = 20.0,
    params: ParamsOption = layout.PARAMS,
) -> None:
    """Count the arithmetic of a preset's training, and the hours that takes."""
    from pipeline import presets
    from pipeline.stages.plan import resolve

    plans = {name: resolve(presets.over(name, params)) for name in names or presets.names()}
    from pipeline.stages import cost

    print(cost.table(plans, rate))


@app.command("list")
def list_(what: Registry) -> None:
    """List what params.yaml can name."""
    from pipeline import registry

    for name, component in getattr(registry, what.upper()).items():
        print(f"{name:14} {component.summary}")


def main() -> None:
    """Run the command line: exit code 2 and one message for what the user can mend.

    Of several processes that train together one tells what all of them have met.
    """
    try:
        processes = these()
        _listen(processes)
        # Of several, one may be waiting for another, where only the system can end it.
        with stopping_at_once() if processes.count == 1 else nullcontext():
            try:
                app()
            finally:
                sys.stdout.flush()
    except InterruptedRunError as stop:
        if not stop.said_elsewhere:
            print(stop, file=sys.stderr)
        sys.exit(128 + stop.signal_number)
    except PipelineError as error:
        code = EXIT_LOST if isinstance(error, LostProcessError) else EXIT_USER
        _fail("" if error.said_elsewhere else str(error), code)
    except BrokenPipeError:
        _fail("", 1)  # whoever read the output has had enough
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        reason = shortage(error)
        if reason is None:
            raise
        _fail(reason)


def _fail(message: str, code: int = EXIT_USER) -> NoReturn:
    """Say what is wrong, and end."""
    with suppress(OSError):  # standard error may lie on the full disk
        for line in message.splitlines():
            print(f"error: {line}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # What cannot be written would be tried once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _listen(processes: Processes) -> None:
    """Show messages, of several processes those of the first; end with who started this one."""
    level = logging.INFO if processes.first else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s")
    if processes.launcher is Launcher.nobody:
        end_with_dvc()
    elif processes.launcher is Launcher.command:
        end_with_parent(int(os.environ[LAUNCHED]))
    elif processes.launcher is Launcher.torchrun:
        end_with_parent(os.getppid())
