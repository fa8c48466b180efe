"""The typer application ``cassle``, and options that its commands share.

Hyper-parameters are in params.yaml only. Importing this module imports neither torch nor
pydantic: each command imports what it needs, so ``--help`` answers at once.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from pipeline import layout
from pipeline.runtime.device import Device

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
    int | None,
    typer.Argument(
        min=0,
        max=layout.MAX_TASKS,
        help="The state after this task alone; 0 is the start. Else all states.",
    ),
]


def require_plans(*names: str, params: Path, planned: bool) -> None:
    """Check that plan files agree with the params, unless ``planned`` says to trust them.

    Raises:
        PipelineError: one does not agree.
    """
    if planned:
        return
    from pipeline.config.read import load_params
    from pipeline.stages.plan import require_current

    require_current(load_params(params), *names)


def lock_stage(stage: str, *outputs: Path) -> AbstractContextManager[None]:
    """Lock a stage's outputs against other processes."""
    from pipeline.runtime.locks import lock_outputs

    return lock_outputs(stage, outputs)
