"""Handlers of Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STDERR = 2  # written to directly: a signal may interrupt a print
SIGNALS = (signal.SIGINT, signal.SIGTERM)
UNWIND_SECONDS = 1.0  # for a stage to end by itself once it was told to


class StopRequest:
    """A request to stop training, by signal; a second signal ends the process at once.

    Args:
        prints: whether this process prints about it; of several ranks only one does.

    Attributes:
        received: the signal's number; None before a signal.
    """

    def __init__(self, prints: bool = True) -> None:
        self.prints = prints
        self.received: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C and SIGTERM inside, and restore the previous handlers after."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Install the handlers; ``listening`` restores the previous ones at its end."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Writes are atomic, so no file is left half written.
            self._say(b"\nstopped at once\n")
            os._exit(128 + number)
        self.received = number
        self._say(b"\nstopping after this step; once more to stop at once, without saving\n")

    def _say(self, what: bytes) -> None:
        if self.prints:
            os.write(STDERR, what)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Outside of training: end with a message on Ctrl-C or SIGTERM.

    Processes forked from this one keep the default behaviour. A signal that is ignored, as in
    a shell's background job, stays ignored.
    """
    told = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != told:
            if number == signal.SIGINT:
                raise KeyboardInterrupt  # the workers of a data loader expect it
            os._exit(128 + number)
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
