"""The processes that jobs start, which a stop has to reach."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

UNWIND_SECONDS = 60.0  # for what a process that ended has started: a stage that saves
POLL_SECONDS = 0.1


class StoppedJobError(Exception):
    """A job was stopped before its end."""


class JobProcesses:
    """Starts processes, each in a process group of its own, and stops all.

    Args:
        ignored: signals that they ignore: those for this process alone. Only where it has one
            thread.
    """

    def __init__(self, ignored: Sequence[signal.Signals] = ()) -> None:
        self._ignored = ignored
        self._running: set[int] = set()
        # Also taken by the handler of a signal, in the thread that may hold it.
        self._lock = threading.RLock()
        self.stopped = False

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: int,
        inherited: int,
    ) -> int:
        """Run a command to its end, and that of all it has started; return its exit code.

        Args:
            command: its words.
            folder: where.
            environment: its variables.
            output: a descriptor, for all it says.
            inherited: a descriptor that it keeps open.

        Raises:
            StoppedJobError: ``stop`` was called.
        """
        with self._lock:
            if self.stopped:
                raise StoppedJobError
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(inherited,),
                start_new_session=True,
                preexec_fn=self._ignore if self._ignored else None,
            )
            self._running.add(process.pid)
        try:
            code = process.wait()
            _await_group(process.pid)
        finally:
            self._running.discard(process.pid)
        if self.stopped:
            raise StoppedJobError
        return code

    def stop(self) -> None:
        """Stop all as Ctrl-C does: a training saves. No further one starts."""
        with self._lock:
            self.stopped = True
            for group in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGINT)

    def await_end(self) -> None:
        """Wait until all that was stopped has ended."""
        for group in tuple(self._running):
            _await_group(group)

    def _ignore(self) -> None:
        for number in self._ignored:
            signal.signal(number, signal.SIG_IGN)


def _await_group(group: int) -> None:
    """Wait until no process of a group is left, or it takes too long."""
    until = time.monotonic() + UNWIND_SECONDS
    while _is_alive(group) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    # There is something, if only what its parent has not taken note of.
    for number in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getpgid(number) == group:
                status = psutil.Process(number).status()
                if status not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                    return True
    return False
