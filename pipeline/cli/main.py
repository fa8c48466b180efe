"""The entry point of the command line: process set-up, messages and exit codes."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import NoReturn

from pipeline.cli import (  # noqa: F401 - importing the others adds their commands to the app
    encoder_commands,
    growing_commands,
    preset_commands,
    stage_commands,
    sweep_commands,
    tool_commands,
)
from pipeline.cli.app import app
from pipeline.cli.output import VisibleFormatter, set_up_output
from pipeline.distributed.processes import (
    LAUNCHED,
    Launcher,
    Processes,
    in_group,
    read_processes,
)
from pipeline.errors import (
    EXIT_PEER_FAILED,
    EXIT_USER,
    InterruptedRunError,
    PeerFailedError,
    PipelineError,
)
from pipeline.reporting.text_formats import show_controls
from pipeline.runtime.dvc_process import end_with_dvc, end_with_parent
from pipeline.runtime.shortages import describe_shortage
from pipeline.runtime.signals import stopping_at_once

app.add_typer(preset_commands.presets_app, name="preset")
app.add_typer(sweep_commands.sweep_app, name="sweep")


def main(command: Callable[[], object] = app) -> None:
    """Run the command line; exit code 2 and one message for a problem that the user can mend.

    If several processes train together, only one prints an error that all of them raise.
    """
    set_up_output()
    try:
        processes = read_processes()
        _set_up_process(processes)
        # One of several ranks may be waiting in a collective, where only the system can end it.
        with stopping_at_once() if processes.count == 1 else nullcontext():
            try:
                command()
            finally:
                sys.stdout.flush()
    except InterruptedRunError as stop:
        if not stop.reported_by_another_rank:
            print(stop, file=sys.stderr)
        _exit(128 + stop.signal_number)
    except PipelineError as error:
        code = EXIT_PEER_FAILED if isinstance(error, PeerFailedError) else EXIT_USER
        _fail("" if error.reported_by_another_rank else str(error), code)
    except BrokenPipeError:
        _fail("", 1)  # the reader of the output has closed the pipe
    except Exception as error:
        reason = describe_shortage(error)
        if reason is not None:
            _fail(reason)
        if in_group():
            traceback.print_exc()
            _exit(1)
        raise


def _exit(code: int) -> NoReturn:
    """End the process; at once in a process group, whose clean-up waits for the other ranks."""
    if in_group():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _fail(message: str, code: int = EXIT_USER) -> NoReturn:
    """Print an error message, and exit."""
    with suppress(OSError):  # standard error may lie on the full disk
        for line in message.split("\n") if message else ():
            print(f"error: {show_controls(line)}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Python would try to write the rest again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    _exit(code)


def _set_up_process(processes: Processes) -> None:
    """Configure logging (rank 0 only) and warnings, and stop when the parent process ends."""
    # Pillow's, of odd tags, name no image. Here, before any thread starts, as all threads share
    # the filters; an image that cannot be read is named by its error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    level = logging.INFO if processes.first else logging.ERROR
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    if processes.launcher is Launcher.nobody:
        end_with_dvc()
    elif processes.launcher is Launcher.command:
        end_with_parent(int(os.environ[LAUNCHED]))
    elif processes.launcher is Launcher.torchrun:
        end_with_parent(os.getppid())
