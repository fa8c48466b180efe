"""clean: list and remove the files that killed or abandoned runs left, and damaged ones."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from pipeline import layout
from pipeline.artifacts.plans.files import plan_digest, read_plan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.commands.damaged import find_damaged
from pipeline.commands.sweeps.bookkeeping import CHECKOUT, LOCK
from pipeline.data.image_files.store_writer import find_abandoned
from pipeline.errors import PipelineError, RunError
from pipeline.files.atomic import find_unfinished, find_way_out
from pipeline.training.saved import FILE, read_saved, remove_unheld

BEING_WRITTEN_SECONDS = 60
FOLDERS = (layout.PLAN, *layout.OUTPUT_FOLDERS)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that a run left.

    Attributes:
        path: a file, or the folder of a checkpoint.
        what: its description.
        stale: whether nothing will use it.
    """

    path: Path
    what: str
    stale: bool


def run(*, everything: bool, ask: bool) -> None:
    """List all leftovers, and remove those that are stale and not in use.

    Args:
        everything: also remove leftovers that the current plan may use: checkpoints, stores of
            images, features, evaluations. They can be made again.
        ask: ask for confirmation, on a terminal.

    Raises:
        RunError: there is no terminal to ask on, or something cannot be removed.
    """
    found = [*_checkpoints(), *_unfinished(), *_stores(), *_evaluated(), *_sweeps(), *_damaged()]
    for left in found:
        size = sum(path.stat().st_size for path in _files(left.path))
        print(f"{left.path}  {size / 1e6:.1f} MB  {left.what}")
    going = [left.path for left in found if left.stale or everything]
    if not going:
        print("nothing to remove" + (" without --all" if found else ""))
        return
    if ask:
        if not sys.stdin.isatty():
            raise RunError("there is no terminal to ask on; add --yes to remove without asking")
        if not typer.confirm(f"remove {len(going)} of them?"):
            return
    print(f"removed {sum(map(_remove, going))} of {len(found)}")


def _checkpoints() -> list[Leftover]:
    root = layout.main_checkout() / layout.CHECKPOINTS
    return [_checkpoint(folder) for folder in sorted(root.glob("train_*"))]


def _checkpoint(folder: Path) -> Leftover:
    file = folder / FILE
    if not file.exists():
        return Leftover(folder, "empty", stale=True)
    try:
        saved = read_saved(folder)
    except ValueError:
        return Leftover(folder, "damaged", stale=True)
    current = _is_current(saved.task, saved.plan)
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
    plan = "of the current plan" if current else "of another plan"
    return Leftover(
        folder, f"task {saved.task} after step {saved.step}, saved {day}, {plan}", stale=not current
    )


def _is_current(task: int, plan: str) -> bool:
    try:
        current = read_plan(TrainPlan, f"train_{task}")
    except PipelineError:
        return False
    return current is not None and plan_digest(current) == plan


def _unfinished() -> list[Leftover]:
    """Return the temporary files that are too old to be still written."""
    # What a folder holds that is linked from elsewhere is nobody's leftover.
    folders = [folder for folder in FOLDERS if find_way_out(folder) is None]
    files = [path for folder in folders for path in find_unfinished(folder)]
    files += [
        path for path in find_unfinished(Path()) if path.name.startswith(f".{layout.PARAMS}.")
    ]
    old = [path for path in files if time.time() - path.stat().st_mtime > BEING_WRITTEN_SECONDS]
    return [Leftover(path, "unfinished", stale=True) for path in old]


def _stores() -> list[Leftover]:
    root = layout.main_checkout() / layout.STORES
    gone, writing = find_abandoned(root), find_unfinished(root)
    stale = [Leftover(path, "an unfinished store of images", stale=True) for path in gone]
    held = [path for path in _files(root) if path not in writing]
    return stale + [Leftover(path, "a store of images", stale=False) for path in held]


def _evaluated() -> list[Leftover]:
    """Return the folders of features and evaluations that are kept for the next evaluation."""
    kept = {layout.EXTRACTED: "features of states", layout.ROWS: "evaluations of states"}
    root = layout.main_checkout()
    return [
        Leftover(root / folder, f"{what}, to evaluate no state twice", stale=False)
        for folder, what in kept.items()
        if (root / folder).is_dir()
    ]


def _sweeps() -> list[Leftover]:
    """Return the jobs of sweeps: logs, and of one that was killed its checkout too."""
    return [
        Leftover(lock.parent, "a killed run of a sweep", stale=True)
        if (lock.parent / CHECKOUT).exists()
        else Leftover(lock.parent, "the log of a run of a sweep", stale=False)
        for lock in sorted(layout.SWEEPS.glob(f"*/*/*/{LOCK}"))
    ]


def _damaged() -> list[Leftover]:
    """Return damaged outputs: without them `dvc repro` makes them anew, or brings them back."""
    return [Leftover(path, what, stale=True) for path, what in find_damaged()]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def _remove(path: Path) -> bool:
    """Remove a file or a folder; return False if a process is using it."""
    try:
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif not remove_unheld(path):
            print(f"{path} stays: it is in use")
            return False
    except OSError as error:
        raise RunError(f"cannot remove {path}: {error.strerror or error}") from error
    return True
