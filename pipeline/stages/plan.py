"""plan: resolve params.yaml into one small file for each stage.

See ``pipeline.config.resolve``. Slots above num_tasks hold ``null``.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import layout
from pipeline.artifacts.plans.files import REMEDY, plan_digest, plan_text
from pipeline.artifacts.split import require_split_origin
from pipeline.config.chain import require_slots
from pipeline.config.params import Params
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.errors import RunError
from pipeline.files.atomic import write_text


def write(params: Params) -> None:
    """Write the plan; files that would not change are left alone."""
    require_slots(count_tasks(params))
    plans = resolve(params).by_file()
    texts = {layout.plan(name): plan_text(plan) for name, plan in plans.items()}
    for path, text in texts.items():
        if not _holds(path, text):
            write_text(path, text)
    # DVC keeps the folder between runs, so that a refused params.yaml takes nothing away.
    for stray in set(layout.PLAN.iterdir()) - set(texts):
        if stray.is_file():
            stray.unlink()


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def require_current(params: Params, name: str) -> None:
    """Check that a stage's plan, and the splits, are what params.yaml and the code say now.

    Raises:
        PipelineError: they are not, or there are none.
    """
    path = layout.plan(name)
    plans = resolve(params)
    if not path.is_file():
        raise RunError(f"{path} is missing; {REMEDY}")
    if not _holds(path, plan_text(plans.by_file()[name])):
        raise RunError(
            f"{path} is not what the params and the code say now; run `cassle plan`, then the "
            "stages in order (or `dvc repro`, which runs just those that changed)"
        )
    if name not in ("prepare", "init"):
        require_split_origin(plan_digest(plans.prepare))
