"""The commands by which a stream grows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import layout
from pipeline.cli.app import ParamsOption, app


@app.command("add-task")
def add_task(
    folder: Annotated[Path, typer.Argument(help="The folder of the next task's images.")],
    params: ParamsOption = layout.PARAMS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it only, write nothing.")] = False,
) -> None:
    """Append a folder to the stream in the params file, and say what will train."""
    from pipeline.commands import add_task as command
    from pipeline.config.read import load_params

    command.run(params, load_params(params), folder, dry_run=dry_run)


@app.command()
def grow() -> None:
    """Append all new folders of data.root and run dvc repro; exit code 3 if nothing is new."""
    from pipeline.commands import grow as command

    raise typer.Exit(command.run(layout.PARAMS))
