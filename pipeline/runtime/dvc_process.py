"""Find the dvc process that runs this stage, and stop the stage when dvc ends."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

from pipeline.runtime.signals import was_told

POLL_SECONDS = 1.0  # between two checks that dvc is alive


def end_with_dvc() -> None:
    """Watch the dvc that runs this stage, if one does, and send SIGTERM when it is gone.

    A killed dvc does not stop its stage. The stage would go on and overwrite the outputs of
    the next run.
    """
    if "DVC_STAGE" not in os.environ:
        return
    dvc = _find_dvc()
    if dvc is None and _is_orphan():
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=_watch_dvc, args=(dvc,), daemon=True).start()


def end_with_parent(parent: int) -> None:
    """Watch the process that started this one, and send SIGTERM when it is gone.

    Args:
        parent: its process ID.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        _stop()

    threading.Thread(target=watch, daemon=True).start()


def _find_dvc() -> tuple[int, float] | None:
    """Return process ID and start time of the nearest ancestor that is dvc."""
    import psutil

    for ancestor in psutil.Process().parents():
        try:
            words = ancestor.cmdline()
            # A shell that dvc starts has the whole stage command as one word of its own.
            if any("dvc" in os.path.basename(word) for word in words[:3]) or "dvc" in words:  # noqa: PTH119
                return ancestor.pid, ancestor.create_time()
        except psutil.Error:
            continue
    return None


def _is_orphan() -> bool:
    """Return whether the parent died before this stage could watch it.

    A process whose parent is in another session, and that leads no session itself, was
    adopted, e.g. by init.
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
    _stop()


def _stop() -> None:
    """Send SIGTERM, unless this process was told to stop already.

    What tells a whole group of processes, as SLURM and systemd do, ends dvc at once and this
    stage when it has saved; a second signal would end it without.
    """
    if not was_told():
        os.kill(os.getpid(), signal.SIGTERM)
