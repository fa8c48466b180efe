"""plan: resolve params.yaml into one small file for each stage.

See ``pipeline.config.resolve``. Slots above num_tasks hold ``null``.
"""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.plans.files import AGAIN, REMEDY, plan_digest, plan_text
from pipeline.artifacts.plans.sources import SourcesPlan
from pipeline.artifacts.split_origin import require_split_origin
from pipeline.building.transfer_images import require_transfer
from pipeline.config.chain import require_slots
from pipeline.config.fingerprint import digest_sources
from pipeline.config.outside_folders import require_apart
from pipeline.config.params import Params
from pipeline.config.resolve import resolve
from pipeline.config.stream import count_tasks
from pipeline.errors import RunError
from pipeline.files.atomic import holds_text, require_writable, write_if_changed
from pipeline.runtime.inputs import Inputs


def write(params: Params, inputs: Inputs) -> None:
    """Write the plan; files that would not change are left alone.

    Args:
        params: what is wanted.
        inputs: what they and the plan are made from.

    Raises:
        PipelineError: a folder of images holds the project, there are too few task slots, an
            input changed, a folder that a later stage writes to cannot be written, or data of
            ``evaluation.transfer`` cannot be used.
    """
    require_slots(count_tasks(params))
    require_apart(params)
    require_writable(layout.OUTPUT_FOLDERS)
    sources = SourcesPlan(digest_sources())
    resolved = resolve(params)
    require_transfer(resolved.evaluate.transfer, resolved.reading)
    plans = {**resolved.by_file(), "sources": sources}
    texts = {layout.plan(name): plan_text(plan) for name, plan in plans.items()}
    inputs.require_unchanged()
    for path, text in texts.items():
        write_if_changed(path, text)
    # DVC keeps the folder between runs, so that a refused params.yaml takes nothing away.
    for stray in set(layout.PLAN.iterdir()) - set(texts):
        if stray.is_file():
            stray.unlink()


def confirm(params: Params) -> None:
    """Check that all plans are what params and code say now; DVC runs it after ``plan``.

    DVC notes what ``plan`` has read when ``plan`` has ended. What changed just before that
    would count as planned.

    Raises:
        RunError: one is not.
    """
    for name, plan in resolve(params).by_file().items():
        if not holds_text(layout.plan(name), plan_text(plan)):
            raise RunError(
                f"params, code or folders of images changed while plan wrote {layout.plan(name)}; "
                + AGAIN
            )


def require_current(params: Params, *names: str) -> None:
    """Check that stages' plans, and the splits, are what params.yaml and the code say now.

    Raises:
        PipelineError: they are not, or there are none.
    """
    plans = resolve(params)
    by_file = plans.by_file()
    for name in names:
        if name not in by_file:
            raise RunError(
                f"{layout.plan(name)} is missing, as the plan has no such task; name one from 1 to "
                f"{len(plans.train)}"
            )
        path = layout.plan(name)
        if not path.is_file():
            raise RunError(f"{path} is missing; {REMEDY}")
        if not holds_text(path, plan_text(by_file[name])):
            raise RunError(f"{path} is not what the params and the code say now; {AGAIN}")
    if not {"prepare", "init"} & set(names):
        require_split_origin(plan_digest(plans.prepare))
