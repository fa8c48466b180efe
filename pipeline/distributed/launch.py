"""Start the processes of one machine that train a task together, and watch over them.

They are processes of Lightning's DDP, each with the environment that Lightning expects of those
that somebody else started. Importing this module imports no torch.

Torch's elastic launcher cannot do this. Where one process ends with an error it sends SIGTERM to
the others at once. But who loses the connection to another one can end before that one has said
why, and then the launcher ends the only process that knows: ``tests/distributed/test_launch.py``
shows it. It would also import torch here. Lightning's own launcher starts the others only once
the first one has imported torch and looked back, and where one fails it kills the others too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pipeline.distributed.processes import LAUNCHED, REASONS
from pipeline.errors import EXIT_PEER_FAILED, RunError
from pipeline.layout import ROOT
from pipeline.runtime.signals import STDERR, HeardSignals, list_heard

Handler = Callable[[int, FrameType | None], object] | int | None

LOOK_SECONDS = 0.1
GRACE_SECONDS = 15.0  # for the others to end, after one has failed
# For all to end after a second signal. One that waits for a GPU or in a collective never hears it:
# Python's handlers run between two bytecodes.
UNHEARD_SECONDS = 3.0


def run_together(command: Sequence[str], count: int) -> int:
    """Run a command in several processes; return the exit code of the whole.

    Ctrl-C, SIGTERM and SIGHUP are handed on to all of them; the second time, those that do not
    hear it are killed. Where one fails, the others end.

    Args:
        command: e.g. what ``this_package`` returns.
        count: of the processes.

    Raises:
        RunError: one was killed, or all have lost each other: nobody has said why they ended.
    """
    received: list[int] = []
    children: list[subprocess.Popen[bytes]] = []
    heard = HeardSignals()
    first = 0

    def hand_on(number: int, frame: FrameType | None) -> None:
        heard.hear(number)
        received.append(number)
        for child in children:
            child.send_signal(number)

    with tempfile.TemporaryDirectory(prefix="cassle-") as reasons:
        try:
            with _handling(hand_on):
                environment = _environment(count) | {REASONS: reasons}
                for rank in range(count):
                    own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                    # A group of its own: the terminal's Ctrl-C must not come twice.
                    children.append(subprocess.Popen(command, env=own, process_group=0))
                    if received:
                        children[-1].send_signal(received[-1])
                first = _wait(children, heard)
        finally:
            for child in children:
                child.kill()
                child.wait()
        noted = [path.read_text(encoding="utf-8") for path in sorted(Path(reasons).iterdir())]
    return _exit_code([child.returncode for child in children], first, received, noted)


def this_package(*arguments: str) -> list[str]:
    """Return the command line of this very package, e.g. for ``train``, ``2``, ``--planned``."""
    # -P: no other package of its name that lies in the folder.
    return [sys.executable, "-P", "-m", "pipeline", *arguments]


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in list_heard()}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _environment(count: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        LAUNCHED: str(os.getpid()),
        "WORLD_SIZE": str(count),
        "NODE_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    # Each would take all cores.
    environment.setdefault("OMP_NUM_THREADS", str(share_threads(count)))
    return environment


def share_threads(count: int) -> int:
    """Return how many threads each of some processes gets, if they share the machine evenly."""
    return max(1, (os.cpu_count() or 1) // count)


def _wait(children: Sequence[subprocess.Popen[bytes]], heard: HeardSignals) -> int:
    """Wait until all have ended, after one has failed for a while; return which that was.

    Args:
        children: the processes.
        heard: the signals so far; some time after a second one all end that have not heard it.
    """
    first: int | None = None
    deadline = unheard = float("inf")
    while (now := time.monotonic()) < deadline:
        codes = [child.poll() for child in children]
        failed = [rank for rank, code in enumerate(codes) if code]
        if first is None and failed:
            # Of those that ended between two looks, one that was killed says nothing itself.
            first = min(failed, key=lambda rank: codes[rank] or 0)
            deadline = now + GRACE_SECONDS
        if None not in codes:
            break
        if heard.urgent:
            unheard = min(unheard, now + UNHEARD_SECONDS)
        if now > unheard:
            with suppress(OSError):
                os.write(STDERR, b"\nstopped at once, also what did not answer\n")
            break
        time.sleep(LOOK_SECONDS)
    return first or 0


def _exit_code(
    codes: Sequence[int], first: int, received: Sequence[int], noted: Sequence[str]
) -> int:
    """Return the exit code of the whole: that of a process that has said why it ended.

    Those that have only lost another one end with ``EXIT_PEER_FAILED``.

    Args:
        codes: of the processes.
        first: the one that ended first with an error.
        received: the signals that were handed on.
        noted: what those saw that have lost another one.

    Raises:
        RunError: no process has said why.
    """
    if received and any(codes):
        return 128 + received[0]
    if codes[first] < 0:
        raise RunError(
            f"process {first} of {len(codes)} was ended by {signal.Signals(-codes[first]).name}, "
            "and the others with it; the same command goes on from the last checkpoint"
        )
    spoken = [code for code in codes if code > 0 and code != EXIT_PEER_FAILED]
    if any(codes) and not spoken:
        raise RunError(
            f"the {len(codes)} processes have lost each other, and none says why it ended "
            f"({noted[0] if noted else 'no message'}); run the same command again, which goes on "
            "from the last checkpoint, on GPUs with NCCL_DEBUG=INFO to see more"
        )
    return max(spoken, default=0)
