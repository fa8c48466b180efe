"""The commands ``cassle preset``: published params, and params for own images."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from pipeline import layout
from pipeline.cli.app import ParamsOption
from pipeline.errors import ParamsError
from pipeline.runtime.device import Device

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
        float | None,
        typer.Option(
            "--rate",
            min=0.001,
            help="The TFLOP/s that the hardware sustains: your assumption.",
            show_default="20",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Take some steps here and time them, instead of counting."),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="With --measure: steps that count; best a multiple of 8.",
            show_default="8",
        ),
    ] = None,
    warm_up: Annotated[
        int | None,
        typer.Option(
            "--warm-up", min=0, help="With --measure: steps before those.", show_default="2"
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option("--device", help="With --measure: where to train.", show_default="auto"),
    ] = None,
    params: ParamsOption = layout.PARAMS,
) -> None:
    """Count the arithmetic of a preset's training, and its hours; or measure it here."""
    from pipeline.config import presets
    from pipeline.config.resolve import resolve

    given = {"--steps": steps, "--warm-up": warm_up, "--device": device}
    strange = [name for name, value in given.items() if value is not None and not measure]
    if strange:
        raise ParamsError(f"{strange[0]} is for measuring; add --measure, or leave it out")
    if measure and rate is not None:
        raise ParamsError("--rate is for counting, and --measure measures; leave one of them out")
    if rate is not None and not math.isfinite(rate):
        raise ParamsError(
            f"--rate: got {rate}, expected the TFLOP/s that the hardware sustains, e.g. --rate 20"
        )
    if measure and not names:
        raise ParamsError("--measure takes minutes a preset: name those to measure")
    plans = {
        name: resolve(presets.load_with_preset(name, params))
        for name in names or presets.list_published()
    }
    if not measure:
        from pipeline.commands import cost

        print(cost.table(plans, rate or 20.0))
        return
    from pipeline.commands.measure import (
        DEFAULT_STEPS,
        DEFAULT_WARM_UP,
        Measuring,
        print_measured,
    )

    wanted = Measuring(
        DEFAULT_STEPS if steps is None else steps,
        DEFAULT_WARM_UP if warm_up is None else warm_up,
        device or Device.auto,
    )
    print_measured(plans, wanted)


@presets_app.command("record")
def preset_record(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A name from `cassle preset list`.", show_default="the page alone is written anew"
        ),
    ] = None,
    revisions: Annotated[
        list[str] | None,
        typer.Argument(
            help="Where the runs are: branches, tags, commits or DVC experiments.",
            show_default="the workspace",
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option("--hardware", metavar="TEXT", help="What trained them: 'one NVIDIA A100'."),
    ] = None,
) -> None:
    """Enter runs of a preset into the ledger, docs/reproduced.md, beside what was published."""
    from pipeline.commands import record

    if name is None:
        record.rewrite_ledger()
    elif hardware is None:
        raise ParamsError(
            f"the ledger says what trained each run; add --hardware, e.g. cassle preset record "
            f"{name} --hardware 'one NVIDIA A100'"
        )
    else:
        record.record(name, revisions or [], hardware)
