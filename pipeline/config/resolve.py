"""The resolved plan of every stage, made from params.

A stage reads its plan and never params.yaml, so it cannot use a param that DVC does not know it
depends on. A plan changes exactly when something its stage uses changes: params, or the code of
its method, strategy, backbone, data set and of the stage itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.init import InitPlan
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.parts import ComponentPlan
from pipeline.artifacts.plans.prepare import PreparePlan
from pipeline.artifacts.plans.probing import ProbingPlan
from pipeline.artifacts.plans.reading import ReadingPlan
from pipeline.artifacts.plans.report import Protocol, ReportPlan
from pipeline.artifacts.plans.train import (
    MachinePlan,
    TrainPlan,
    WholeStreamPlan,
)
from pipeline.artifacts.plans.views import ViewsPlan
from pipeline.config.fingerprint import code_fingerprint
from pipeline.config.options import options_of, plan_component
from pipeline.config.params import Params
from pipeline.config.plan_backbone import plan_backbone
from pipeline.config.plan_data import (
    data_modules,
    plan_dataset,
    plan_labelled,
    plan_preparation,
    plan_reading,
    plan_view_augments,
    plan_views,
)
from pipeline.config.plan_optimization import plan_online_stream, plan_optimization
from pipeline.config.plan_transfer import describe_transfer, plan_transfer
from pipeline.config.plan_weights import plan_weights
from pipeline.config.registry.loggers import LOGGERS
from pipeline.config.registry.probes import CONSOLIDATION_PROBE, ONLINE, PROBES, list_while_training
from pipeline.config.registry.strategies import (
    COMPOSITE,
    learns_at_once,
    list_acting,
    reads_past,
)
from pipeline.config.stage_code import add_code, digest_templates
from pipeline.config.stream import count_tasks, fix_stream
from pipeline.files.typed_json import get_typed


@dataclass(frozen=True)
class Plans:
    """The plans of all stages.

    Attributes:
        train: by task, from 1; task 1 alone where all are learnt at once.
        online: of the online classifiers; None: there are none.
        probing: of the probes that are measured while tasks train; None: there are none.
    """

    prepare: PreparePlan
    init: InitPlan
    train: Mapping[int, TrainPlan]
    evaluate: EvaluatePlan
    views: ViewsPlan
    report: ReportPlan
    machine: MachinePlan
    reading: ReadingPlan
    online: OnlinePlan | None
    probing: ProbingPlan | None

    def by_file(self) -> dict[str, object | None]:
        """The plan in each file of data/plan, by its name; None of slots above num_tasks."""
        slots = range(1, self.prepare.slots + 1)
        return {
            "prepare": self.prepare,
            "init": self.init,
            **{f"train_{task}": self.train.get(task) for task in slots},
            "evaluate": self.evaluate,
            "views": self.views,
            "report": self.report,
            "machine": self.machine,
            "reading": self.reading,
            "online": self.online,
            "probing": self.probing,
        }


def resolve(params: Params) -> Plans:
    """The plans of all stages, as the params and the code are now."""
    params = fix_stream(params)
    tasks = range(1, 2 if learns_at_once(params.strategy) else count_tasks(params) + 1)
    init = _plan_init(params)
    makers = [plan_digest(init)]
    train = {}
    for task in tasks:
        train[task] = _plan_training(params, task, makers[-1])
        makers.append(plan_digest(train[task]))
    online = _plan_online(params)
    random = None if init.weights is None else plan_digest(replace(init, weights=None))
    evaluate = _plan_evaluation(params, makers, online, random)
    views = plan_views(params)
    report = _plan_report(params, evaluate, views)
    machine = MachinePlan(
        params.train.devices,
        params.train.num_nodes,
        tuple(ComponentPlan(name, LOGGERS[name].path) for name in params.train.loggers),
    )
    return Plans(
        prepare=plan_preparation(params),
        init=init,
        train=train,
        evaluate=evaluate,
        views=views,
        report=report,
        machine=machine,
        reading=plan_reading(params),
        online=online,
        probing=_plan_probing(params),
    )


def _plan_init(params: Params) -> InitPlan:
    backbone = plan_backbone(params)
    return add_code(InitPlan(params.seed, backbone, code="", weights=plan_weights(params)))


def _plan_training(params: Params, task: int, previous: str) -> TrainPlan:
    backbone = plan_backbone(params)
    at_once = learns_at_once(params.strategy)
    strategies = params.strategy.split("+")
    online = params.stream.online
    names = list_acting(strategies, task, from_start=params.distill_from_start, online=online)
    compose = COMPOSITE if names and len(strategies) > 1 else None
    whole = None
    if at_once:
        # The splits of the other tasks are no dependency of the stage in dvc.yaml.
        whole = WholeStreamPlan(count_tasks(params), plan_digest(plan_preparation(params)))
    plan = TrainPlan(
        task=task,
        seed=params.seed,
        dataset=plan_dataset(params),
        views=plan_view_augments(params),
        backbone=backbone,
        method=plan_component(params, "method", params.method),
        train=plan_optimization(params, task),
        previous=previous,
        code="",
        strategies=tuple(plan_component(params, "strategy", name) for name in names),
        compose=compose,
        whole_stream=whole,
        looks_back=task > 1 and reads_past(names, online=online),
        freeze_until=params.backbone.freeze_until,
        online_stream=plan_online_stream(params),
    )
    return add_code(plan)


def _plan_evaluation(
    params: Params, states: Sequence[str], online: OnlinePlan | None, random: str | None
) -> EvaluatePlan:
    backbone, labelled = plan_backbone(params), plan_labelled(params)
    names: list[str] = params.evaluation.probes
    plan = EvaluatePlan(
        num_tasks=count_tasks(params),
        seed=params.seed,
        dataset=plan_dataset(params),
        backbone=backbone,
        probes=tuple(plan_component(params, "probe", name) for name in names),
        headline=params.evaluation.headline,
        consolidation=plan_component(params, "probe", CONSOLIDATION_PROBE),
        states=tuple(states),
        extraction=code_fingerprint(
            "pipeline.building.state_features",
            *data_modules(params),
            backbone.path.partition(":")[0],
        ),
        code="",
        one_ahead=params.scenario == "folders",
        labelled=labelled,
        online=None if online is None else plan_digest(online),
        random=random,
        transfer=plan_transfer(params, backbone),
    )
    return add_code(plan)


def _plan_report(params: Params, evaluate: EvaluatePlan, views: ViewsPlan) -> ReportPlan:
    plan = ReportPlan(
        evaluation=plan_digest(evaluate),
        last_state=evaluate.last_state,
        views=plan_digest(views),
        templates=digest_templates(),
        params=params.model_dump(exclude_none=True),
        code="",
        headline=params.evaluation.headline,
        protocols=_describe_protocols(params),
        transfer=describe_transfer(params),
    )
    return add_code(plan)


def _describe_protocols(params: Params) -> dict[str, Protocol]:
    """How the accuracies of each probe come about."""
    return {
        name: Protocol(
            PROBES[name].named,
            PROBES[name].protocol(options_of(params, "probe", name)),
            while_training=PROBES[name].while_training,
        )
        for name in params.evaluation.probes
    }


def _plan_online(params: Params) -> OnlinePlan | None:
    """The plan of the classifiers that learn while the network trains, if a probe asks them."""
    if not list_while_training(params.evaluation.probes):
        return None
    options = params.evaluation.options_of(ONLINE) or {}
    return OnlinePlan(
        num_tasks=count_tasks(params),
        splits=plan_digest(plan_preparation(params)),
        view=plan_view_augments(params)[-1],
        learning_rate=get_typed(options, float, "learning_rate"),
    )


def _plan_probing(params: Params) -> ProbingPlan | None:
    """The plan of the probes that are measured while tasks train, if any are asked for."""
    given = params.evaluation
    if given.every is None:
        return None
    plan = ProbingPlan(
        every=given.every,
        probes=tuple(plan_component(params, "probe", name) for name in given.while_training),
        cost=given.while_training_cost,
        code="",
        labelled=plan_labelled(params),
    )
    return add_code(plan)
