"""The commands that use an encoder: embed and search."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import layout
from pipeline.cli.app import DeviceOption, ParamsOption, app, lock_stage, require_plans
from pipeline.errors import ParamsError
from pipeline.runtime.before_torch import before_torch
from pipeline.runtime.device import Device

if TYPE_CHECKING:
    from pipeline.building.encoder import Encoder


class OnBadImage(StrEnum):
    """The values of ``--on-bad-image``."""

    skip = "skip"
    error = "error"


StateOption = Annotated[
    int | None,
    typer.Option(
        "--state",
        min=0,
        max=layout.MAX_TASKS,
        help="The state after this task; 0 is what the stream starts from.",
        show_default="the last one of the plan",
    ),
]
EncoderOption = Annotated[
    Path | None,
    typer.Option(
        "--encoder", metavar="FOLDER", help="Instead of a state: an export, or its weights' file."
    ),
]
BatchOption = Annotated[
    int, typer.Option("--batch-size", min=1, max=65536, help="Images that run together.")
]


def _load(state: int | None, export: Path | None, params: Path, device: Device) -> Encoder:
    """Return the encoder that the options name."""
    before_torch()
    if export is None:
        require_plans("evaluate", params=params, planned=False)
    from pipeline.building.encoder import load_encoder

    return load_encoder(state if export is None else export, device.value)


def _require_one(state: int | None, export: Path | None) -> None:
    if state is not None and export is not None:
        raise ParamsError("--state and --encoder both name the encoder; leave one of them out")


@app.command("embed")
def embed_folder(
    folder: Annotated[Path, typer.Argument(help="The folder of images, with its subfolders.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write: .npz or .parquet."),
    ],
    state: StateOption = None,
    encoder: EncoderOption = None,
    batch_size: BatchOption = 512,
    on_bad_image: Annotated[
        OnBadImage,
        typer.Option("--on-bad-image", help="Leave unreadable images out and name them, or stop."),
    ] = OnBadImage.skip,
    force: Annotated[
        bool, typer.Option("--force", help="Replace features of another encoder or folder.")
    ] = False,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
) -> None:
    """Write the features of all images of a folder; a rerun embeds what is new or changed."""
    from pipeline.artifacts.embeddings import require_ending
    from pipeline.commands import embed as command
    from pipeline.runtime.locks import name_lock

    _require_one(state, encoder)
    require_ending(output)
    command.list_paths(folder)
    with lock_stage(name_lock("embed", output)):
        command.embed(
            folder,
            _load(state, encoder, params, device),
            output,
            batch_size=batch_size,
            on_bad_image=on_bad_image.value,
            replace=force,
        )


@app.command()
def search(
    image: Annotated[Path, typer.Argument(help="The image whose like is looked for.")],
    place: Annotated[
        Path,
        typer.Option(
            "--in", metavar="FOLDER|FILE", help="A folder of images, or a file of `cassle embed`."
        ),
    ],
    count: Annotated[int, typer.Option("-k", min=1, max=10000, help="How many to find.")] = 10,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="HTML", help="Show them on a page too.")
    ] = None,
    state: StateOption = None,
    encoder: EncoderOption = None,
    params: ParamsOption = layout.PARAMS,
    device: DeviceOption = Device.auto,
) -> None:
    """Find the images nearest to one, by the cosine of their features."""
    from pipeline.commands import search as command
    from pipeline.runtime.locks import name_lock

    _require_one(state, encoder)
    command.require_searchable(image, place, page)
    with lock_stage(name_lock("search", place)):
        command.run(image, place, _load(state, encoder, params, device), count, page)
