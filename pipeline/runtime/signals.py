"""Ctrl-C, SIGTERM, and the end of the process that started this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STDERR = 2  # written to directly: a signal may come in the middle of a print
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether training was asked to stop; a second request ends the process at once.

    Args:
        prints: whether to say so on standard error; of several processes one does.

    Attributes:
        received: the number of the signal; None as long as there was none.
    """

    def __init__(self, prints: bool = True) -> None:
        self.prints = prints
        self.received: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over Ctrl-C and SIGTERM from whoever handles them now."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals over, until ``listening`` ends."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Files are written whole or not at all, so nothing is left half done.
            self._say(b"\nstopped at once\n")
            os._exit(128 + number)
        self.received = number
        self._say(b"\nstopping after this step; once more to stop at once, without saving\n")

    def _say(self, what: bytes) -> None:
        if self.prints:
            os.write(STDERR, what)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Outside of training: on Ctrl-C or SIGTERM say what is kept, and end.

    Processes that are forked from this one do as if it had not been asked. Where a signal is
    ignored, as by what a shell runs in the background, it stays so.
    """
    told = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != told:
            if number == signal.SIGINT:
                raise KeyboardInterrupt  # the workers of a data loader expect it
            os._exit(128 + number)
        os.write(STDERR, b"\nstopped: all files are whole; run the same command again\n")
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
