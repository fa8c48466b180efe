"""Handlers of Ctrl-C, SIGTERM and SIGHUP, which a terminal sends when it is closed."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

STDOUT, STDERR = 1, 2  # written to directly: a signal may interrupt a print
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNWIND_SECONDS = 1.0  # for a stage to end by itself once it was told to

_told = threading.Event()


def was_told() -> bool:
    """Return whether a signal has told this process to stop its training."""
    return _told.is_set()


def list_heard() -> Sequence[signal.Signals]:
    """The signals that stop a process: not SIGHUP where it is ignored, as ``nohup`` has it."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]


def leave_terminal() -> None:
    """Send further output to nowhere, where it would go to a terminal that is closed."""
    for stream in (STDOUT, STDERR):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


class HeardSignals:
    """The signals that a process has heard: after a second one it ends at once.

    SIGHUP is not from somebody who waits, so it is never the second one. Nor is the signal after
    it: the closed terminal ends dvc too, whose end sends a SIGTERM while this process saves.

    Attributes:
        first: the first signal's number; None before it.
        urgent: whether there was a second one.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.urgent = False
        self._excused = False

    def hear(self, number: int) -> None:
        """Enter a signal; of a closed terminal, leave it."""
        _told.set()
        if number == signal.SIGHUP:
            leave_terminal()
        if self.first is None:
            self.first = number
        elif number == signal.SIGHUP or (self.first == signal.SIGHUP and not self._excused):
            self._excused = True
        else:
            self.urgent = True


class StopRequest:
    """A request to stop training, by signal; a second signal ends the process at once.

    Args:
        prints: whether this process prints about it; of several ranks only one does.

    """

    def __init__(self, prints: bool = True) -> None:
        self.prints = prints
        self._heard = HeardSignals()

    @property
    def received(self) -> int | None:
        """The signal's number; None before a signal."""
        return self._heard.first

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside, and restore the previous handlers after."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Install the handlers; ``listening`` restores the previous ones at its end."""
        for number in list_heard():
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self._heard.hear(number)
        if self._heard.urgent:
            # Writes are atomic, so no file is left half written.
            self._say(b"\nstopped at once\n")
            os._exit(128 + number)
        if not again:
            self._say(b"\nstopping after this step; once more to stop at once, without saving\n")

    def _say(self, what: bytes) -> None:
        if self.prints:
            with suppress(OSError):
                os.write(STDERR, what)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Outside of training: end with a message on Ctrl-C, SIGTERM or SIGHUP.

    Processes forked from this one keep the default behaviour. A signal that is ignored, as in
    a shell's background job, stays ignored.
    """
    told = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != told:
            if number == signal.SIGINT:
                raise KeyboardInterrupt  # the workers of a data loader expect it
            os._exit(128 + number)
        if number == signal.SIGHUP:
            leave_terminal()
        with suppress(OSError):
            os.write(STDERR, b"\nstopped: all files are whole; run the same command again\n")
        # Libraries that try imports in a bare `except` swallow the exception: end all the same.
        last = threading.Timer(UNWIND_SECONDS, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        timers.append(last)
        raise SystemExit(128 + number)

    timers: list[threading.Timer] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number in heard:
            signal.signal(number, before[number])
