"""The dvc process that runs this stage: found, and watched so that the stage ends with it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

POLL_SECONDS = 1.0  # between two looks at whether dvc is alive


def end_with_dvc() -> None:
    """Where dvc runs this stage: stop, as by SIGTERM, when dvc is gone.

    A killed dvc does not take its stage with it, and that would go on to write its outputs
    under the next run.
    """
    if "DVC_STAGE" not in os.environ:
        return
    dvc = _find_dvc()
    if dvc is None and _is_orphan():
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=_watch_dvc, args=(dvc,), daemon=True).start()


def end_with_parent(parent: int) -> None:
    """Stop, as by SIGTERM, when the process that started this one is gone.

    Args:
        parent: its number.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def dvc_command() -> list[str]:
    """Return the command line of the dvc that runs this stage; empty: none does."""
    import psutil

    dvc = _find_dvc() if "DVC_STAGE" in os.environ else None
    try:
        return psutil.Process(dvc[0]).cmdline() if dvc is not None else []
    except psutil.Error:
        return []


def _find_dvc() -> tuple[int, float] | None:
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


def _is_orphan() -> bool:
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


def _watch_dvc(dvc: tuple[int, float] | None) -> None:
    import psutil

    while dvc is not None:
        try:
            if psutil.Process(dvc[0]).create_time() != dvc[1]:
                break
        except psutil.NoSuchProcess:
            break
        time.sleep(POLL_SECONDS)
    else:
        return
    os.kill(os.getpid(), signal.SIGTERM)
