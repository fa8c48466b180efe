"""The commands ``cassle preset``: published params, and params for own images."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import layout
from pipeline.cli.app import ParamsOption

presets_app = typer.Typer(
    help="Published settings and some for own images, one file each under presets/.",
    no_args_is_help=True,
)


PresetArgument = Annotated[str, typer.Argument(help="A name from `cassle preset list`.")]


@presets_app.command("list")
def preset_list() -> None:
    """List the presets."""
    from pipeline.config import presets

    for name in presets.list_presets():
        print(f"{name:26} {presets.summarize(name)}")


@presets_app.command("show")
def preset_show(name: PresetArgument) -> None:
    """Print what a preset sets."""
    from pipeline.config import presets

    print(presets.read_preset(name), end="")


@presets_app.command("use")
def preset_use(
    name: PresetArgument,
    published_order: Annotated[
        bool,
        typer.Option(
            "--published-order",
            help="Cut CIFAR-100's or ImageNet-100's classes as the published runs do.",
        ),
    ] = False,
    params: ParamsOption = layout.PARAMS,
) -> None:
    """Write a preset's values into the params file, and say what changed."""
    from pipeline.config import presets

    changes = presets.apply_preset(name, params, published_order)
    print(f"{params}: {len(changes)} params changed" if changes else f"{params} is as it was")
    for line in changes:
        print(f"  {line}")


@presets_app.command("cost")
def preset_cost(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names from `cassle preset list`.", show_default="all published"),
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
    from pipeline.config import presets
    from pipeline.config.resolve import resolve

    plans = {
        name: resolve(presets.load_with_preset(name, params))
        for name in names or presets.list_published()
    }
    from pipeline.commands import cost

    print(cost.table(plans, rate))
