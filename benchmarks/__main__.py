"""``python -m benchmarks [parts]``: measure speed, as ratios within one run."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks import command
from pipeline.cli.app import DeviceOption, lock_stage
from pipeline.cli.main import main
from pipeline.runtime.device import Device


def measure(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"{', '.join(command.PARTS)}.",
            show_default="all",
        ),
    ] = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Measure speed as ratios within one run: reports/benchmark.md and .json."""
    with lock_stage("bench", command.JSON, command.TABLE):
        command.run(parts or [], device)


def run() -> None:
    """Run the command, with the exit codes and messages of ``cassle``."""
    main(lambda: typer.run(measure))


if __name__ == "__main__":
    run()
