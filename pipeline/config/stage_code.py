"""The code that a stage uses, as its plan names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from pipeline.artifacts.plans.evaluate import EvaluatePlan, TransferPlan
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.config.fingerprint import code_fingerprint
from pipeline.files.sealed_json import file_digest
from pipeline.layout import ROOT

StagePlan = PreparePlan | InitPlan | TrainPlan | EvaluatePlan | ViewsPlan | ReportPlan
P = TypeVar("P", PreparePlan, InitPlan, TrainPlan, EvaluatePlan, ViewsPlan, ReportPlan)

MODULES: Mapping[type, str] = {
    PreparePlan: "pipeline.stages.prepare",
    InitPlan: "pipeline.stages.init",
    TrainPlan: "pipeline.stages.train_task",
    EvaluatePlan: "pipeline.stages.evaluate_states",
    ViewsPlan: "pipeline.stages.views",
    ReportPlan: "pipeline.stages.report",
}
TRANSFER = "pipeline.stages.evaluate_transfer"
TEMPLATES = ROOT / "pipeline" / "reporting" / "page" / "templates"


def add_code(plan: P) -> P:
    """The plan of a stage with the fingerprint of the code that it uses."""
    return replace(plan, code=fingerprint_stage(plan))


def fingerprint_stage(plan: StagePlan) -> str:
    """The fingerprint of the code of a stage and of each component that its plan names.

    The evaluation on other data has one of its own.
    """
    of = replace(plan, transfer=None) if isinstance(plan, EvaluatePlan) else plan
    return code_fingerprint(MODULES[type(plan)], *_list_modules(of))


def fingerprint_transfer(plan: TransferPlan, backbone: BackbonePlan) -> str:
    """The fingerprint of the code of the evaluation on other data.

    Args:
        plan: of that evaluation.
        backbone: the network of the features.
    """
    return code_fingerprint(TRANSFER, *_list_modules(plan), *_list_modules(backbone))


def uses_code_of_now(plan: StagePlan) -> bool:
    """Whether a plan was made with the code as it is now."""
    others = True
    if isinstance(plan, ReportPlan):
        others = plan.templates == digest_templates()
    elif isinstance(plan, EvaluatePlan) and plan.transfer is not None:
        others = plan.transfer.code == fingerprint_transfer(plan.transfer, plan.backbone)
    return others and plan.code == fingerprint_stage(plan)


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
