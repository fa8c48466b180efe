"""The commands ``cassle sweep``: many runs, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipeline.errors import ParamsError

START = "start"


class SweepGroup(TyperGroup):
    """Takes ``cassle sweep FILE`` for ``cassle sweep start FILE``."""

    def parse_args(  # type: ignore[override]  # Typer has a Context of its own
        self, ctx: typer.Context, args: list[str]
    ) -> list[str]:
        """Put the command's name before a file or an option that is not the group's."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [START, *args]
        return super().parse_args(ctx, args)


sweep_app = typer.Typer(
    cls=SweepGroup,
    help="Many runs from one file of overrides: `cassle sweep FILE --local 2`, or --slurm.",
    no_args_is_help=True,
)


@sweep_app.command(START)
def sweep_start(
    file: Annotated[
        Path, typer.Argument(help="The sweep: presets, list, grid and seeds; see docs/scaling.md.")
    ],
    print_: Annotated[
        bool, typer.Option("--print", help="Print a command for each run, and run nothing.")
    ] = False,
    local: Annotated[
        int | None,
        typer.Option("--local", min=1, metavar="N", help="Run here, N at a time."),
    ] = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Give the runs to SLURM, as one array job.")
    ] = False,
) -> None:
    """Check all runs of a sweep, and start those that are missing."""
    from pipeline.commands.sweeps import start

    if print_ + (local is not None) + slurm > 1:
        raise ParamsError("--print, --local and --slurm exclude each other; give one of them")
    if print_:
        start.print_commands(file)
    elif local is not None:
        start.run_here(file, local)
    elif slurm:
        start.submit(file)
    else:
        start.show(file)


@sweep_app.command("status")
def sweep_status(
    file: Annotated[
        Path | None,
        typer.Argument(help="The sweep's file.", show_default="all that were started here"),
    ] = None,
) -> None:
    """Say what is done, running, waiting and failed, and why."""
    from pipeline.commands.sweeps.status import print_status

    print_status(file)
