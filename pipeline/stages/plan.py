"""plan: resolve params.yaml into one small file for each stage.

A stage reads its file and never params.yaml, so it cannot use a param that DVC does
not know it depends on. A file changes exactly when something its stage uses changes:
params, or the code of its method, strategy, backbone, data set and of the stage itself.
Slots above num_tasks hold ``null``.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import layout
from pipeline.config.params import Params
from pipeline.config.resolve import resolve
from pipeline.errors import RunError
from pipeline.files.atomic import write_text
from pipeline.files.sealed_json import (
    Json,
    digest,
    dump_json,
    read_sealed,
    seal,
)


def write(params: Params) -> None:
    """Write the plan; files that would not change are left alone."""
    texts = {layout.plan(name): _text(slot) for name, slot in resolve(params).items()}
    for path, text in texts.items():
        if not _holds(path, text):
            write_text(path, text)
    # DVC keeps the folder between runs, so that a refused params.yaml takes nothing away.
    for stray in set(layout.PLAN.iterdir()) - set(texts):
        if stray.is_file():
            stray.unlink()


def _text(slot: Json | None) -> str:
    return dump_json(None if slot is None else seal(slot))


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def require_current(params: Params, name: str) -> None:
    """Check that a slot's file, and the splits, are of what params.yaml and the code say now.

    Raises:
        RunError: they are not, or there are none.
    """
    path = layout.plan(name)
    slots = resolve(params)
    if not path.is_file():
        raise RunError(f"{path} is missing; run `cassle plan` first")
    if not _holds(path, _text(slots[name])):
        raise RunError(
            f"{path} is not what the params and the code say now; run `cassle plan`, then the "
            "stages in order (or `dvc repro`, which runs just those that changed)"
        )
    if name in ("prepare", "init"):
        return
    remedy = "run `cassle prepare` first"
    origin = read_sealed(layout.SPLIT_ORIGIN, RunError, remedy)
    if origin is None or origin.get("plan") != digest(slots["prepare"]):
        raise RunError(f"the splits in {layout.SPLITS} are of another plan; {remedy}")
