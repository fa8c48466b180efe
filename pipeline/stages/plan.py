"""plan: resolve params.yaml into one small file for each stage.

See ``pipeline.config.resolve``. Slots above num_tasks hold ``null``.
"""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.plans.files import REMEDY, plan_digest, plan_text
from pipeline.artifacts.split_origin import require_split_origin
from pipeline.config.chain import require_slots
from pipeline.config.params import Params
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.errors import RunError
from pipeline.files.atomic import holds_text, write_if_changed


def write(params: Params) -> None:
    """Write the plan; files that would not change are left alone."""
    require_slots(count_tasks(params))
    plans = resolve(params).by_file()
    texts = {layout.plan(name): plan_text(plan) for name, plan in plans.items()}
    for path, text in texts.items():
        write_if_changed(path, text)
    # DVC keeps the folder between runs, so that a refused params.yaml takes nothing away.
    for stray in set(layout.PLAN.iterdir()) - set(texts):
        if stray.is_file():
            stray.unlink()


def require_current(params: Params, *names: str) -> None:
    """Check that stages' plans, and the splits, are what params.yaml and the code say now.

    Raises:
        PipelineError: they are not, or there are none.
    """
    plans = resolve(params)
    by_file = plans.by_file()
    for name in names:
        path = layout.plan(name)
        if not path.is_file():
            raise RunError(f"{path} is missing; {REMEDY}")
        if not holds_text(path, plan_text(by_file[name])):
            raise RunError(
                f"{path} is not what the params and the code say now; run `cassle plan`, then the "
                "stages in order (or `dvc repro`, which runs just those that changed)"
            )
    if not {"prepare", "init"} & set(names):
        require_split_origin(plan_digest(plans.prepare))
