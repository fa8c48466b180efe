"""The code that a stage uses, as its plan names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.config.fingerprint import code_fingerprint
from pipeline.files.sealed_json import file_digest
from pipeline.layout import ROOT

StagePlan = PreparePlan | InitPlan | TrainPlan | ProbingPlan | EvaluatePlan | ViewsPlan | ReportPlan
P = TypeVar("P", PreparePlan, InitPlan, TrainPlan, ProbingPlan, EvaluatePlan, ViewsPlan, ReportPlan)

MODULES: Mapping[type, str] = {
    PreparePlan: "pipeline.stages.prepare",
    InitPlan: "pipeline.stages.init",
    TrainPlan: "pipeline.stages.train_task",
    ProbingPlan: "pipeline.stages.train_probing",
    EvaluatePlan: "pipeline.stages.evaluate_states",
    ViewsPlan: "pipeline.stages.views",
    ReportPlan: "pipeline.stages.report",
}
TEMPLATES = ROOT / "pipeline" / "reporting" / "page" / "templates"


def add_code(plan: P) -> P:
    """The plan of a stage with the fingerprint of the code that it uses."""
    return replace(plan, code=fingerprint_stage(plan))


def fingerprint_stage(plan: StagePlan) -> str:
    """The fingerprint of the code of a stage and of each component that its plan names."""
    return code_fingerprint(MODULES[type(plan)], *_list_modules(plan))


def uses_code_of_now(plan: StagePlan) -> bool:
    """Whether a plan was made with the code as it is now."""
    templates = not isinstance(plan, ReportPlan) or plan.templates == digest_templates()
    return templates and plan.code == fingerprint_stage(plan)


def digest_templates() -> dict[str, str]:
    """The SHA-256 of each template of the page, by name."""
    return {path.name: file_digest(path) for path in sorted(TEMPLATES.iterdir())}


def _list_modules(part: object) -> Iterator[str]:
    """Yield the module of each ``module:class`` in a plan."""
    if is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            value = getattr(part, field.name)
            if field.name in ("path", "compose") and value is not None:
                yield value.partition(":")[0]
            yield from _list_modules(value)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for each in part:
            yield from _list_modules(each)
