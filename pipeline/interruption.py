"""Ctrl-C, SIGTERM, and the end of the process that started this one."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LOOK_SECONDS = 1.0  # between two looks at whether dvc is alive
STDERR = 2  # written to directly: a signal may come in the middle of a print
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether training was asked to stop; a second request ends the process at once.

    Args:
        speaks: whether to say so; of several processes one does.

    Attributes:
        received: the number of the signal; None as long as there was none.
    """

    def __init__(self, speaks: bool = True) -> None:
        self.speaks = speaks
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
        if self.speaks:
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


def end_with_dvc() -> None:
    """Where dvc runs this stage: stop, as by SIGTERM, when dvc is gone.

    A killed dvc does not take its stage with it, and that would go on to write its outputs
    under the next run.
    """
    if "DVC_STAGE" not in os.environ:
        return
    dvc = _dvc()
    if dvc is None and _left_alone():
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=_watch, args=(dvc,), daemon=True).start()


def end_with_parent(parent: int) -> None:
    """Stop, as by SIGTERM, when the process that started this one is gone.

    Args:
        parent: its number.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def dvc_command() -> list[str]:
    """Return the command line of the dvc that runs this stage; empty: none does."""
    import psutil

    dvc = _dvc() if "DVC_STAGE" in os.environ else None
    try:
        return psutil.Process(dvc[0]).cmdline() if dvc is not None else []
    except psutil.Error:
        return []


def _dvc() -> tuple[int, float] | None:
    """Return process number and start time of the nearest ancestor that is dvc."""
    import psutil

    for ancestor in psutil.Process().parents():
        try:
            words = ancestor.cmdline()
            # The shell that dvc starts a stage in has the stage's command as one word.
            if any("dvc" in os.path.basename(word) for word in words[:3]) or "dvc" in words:  # noqa: PTH119
                return ancestor.pid, ancestor.create_time()
        except psutil.Error:
            continue
    return None


def _left_alone() -> bool:
    """Return whether what started this stage was gone before the stage could look.

    A process whose parent is of another session, and that leads none, was handed on: to init, say.
    """
    import psutil

    try:
        stage = psutil.Process()
        above = stage.parents()
        shell = above[0].cmdline() if above else []
        chain = [stage, *above[: 2 if "-c" in shell and shell[0].endswith("sh") else 1]]
        sessions = [(os.getsid(process.pid), process.pid) for process in chain]
    except (psutil.Error, OSError):
        return False
    return any(
        session not in (number, parent)
        for (session, number), (parent, _) in itertools.pairwise(sessions)
    )


def _watch(dvc: tuple[int, float] | None) -> None:
    import psutil

    while dvc is not None:
        try:
            if psutil.Process(dvc[0]).create_time() != dvc[1]:
                break
        except psutil.NoSuchProcess:
            break
        time.sleep(LOOK_SECONDS)
    else:
        return
    os.kill(os.getpid(), signal.SIGTERM)
