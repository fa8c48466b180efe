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


@app.command("example-stream")
def example_stream(
    name: Annotated[
        str, typer.Argument(help="clothes, a stream that grows; or emoji, colour domains.")
    ] = "clothes",
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="For the folders that are there first.", show_default="stream, data/raw/emoji"
        ),
    ] = None,
    incoming: Annotated[
        Path | None,
        typer.Argument(help="For the one that comes later, of clothes.", show_default="incoming"),
    ] = None,
    params: ParamsOption = layout.PARAMS,
) -> None:
    """Write folders of images that come with the project, and the params for them."""
    from pipeline.commands import example_stream as command
    from pipeline.config.read import load_params

    load_params(params)
    command.run(params, name, folder, incoming)


@app.command()
def grow() -> None:
    """Append all new folders of data.root and run dvc repro; exit code 3 if nothing is new."""
    from pipeline.commands import grow as command

    raise typer.Exit(command.run(layout.PARAMS))
