"""Reading of a run's results from the stages' outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline import layout
from pipeline.artifacts.evaluation import ByTask, Evaluation, Evaluations, read_evaluations
from pipeline.artifacts.plans.report import ReportPlan
from pipeline.artifacts.split import read_gone, read_splits
from pipeline.artifacts.training_log import read_training_log
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json
from pipeline.files.typed_json import get_typed
from pipeline.reporting.representations import list_changes
from pipeline.reporting.results import Cells, Probed, Results


def read_results(plan: ReportPlan) -> Results:
    """The results of the planned run.

    Raises:
        PipelineError: an evaluation, its features, a split, a log or a timing is missing or
            unreadable.
    """
    params = dict(plan.params)
    num_tasks = get_typed(params, int, "num_tasks")
    evaluations = read_evaluations(plan.evaluation)
    found = _require_rows(evaluations, plan.last_state)
    epochs: list[dict[str, str]] = []
    timings = []
    for task in range(1, len(found)):  # 1 alone where all tasks are learnt at once
        timing, rows = read_training_log(task)
        timings.append(timing)
        epochs += rows
    splits = read_splits(num_tasks)
    return Results(
        params=params,
        matrix=_rows(found, num_tasks, lambda evaluation: evaluation.accuracy),
        headline=found[0].headline,
        probes={name: _probed(found, num_tasks, name) for name in _probe_names(params)},
        ranks=_rows(found, num_tasks, lambda evaluation: evaluation.rank),
        changes=list_changes(found, num_tasks),
        consolidation=_rows(found, num_tasks, lambda evaluation: evaluation.consolidation),
        splits=splits,
        epochs=epochs,
        timings=timings,
        class_names=found[-1].class_names,
        protocol=plan.protocol,
        protocols=plan.protocols,
        gone=read_gone(),
        row_classes=[len(evaluation.class_names) for evaluation in found],
        labelled=evaluations.labelled,
        random=_random_row(evaluations, num_tasks),
        transfer=evaluations.transfer,
        transfer_protocols=plan.transfer,
    )


def _random_row(evaluations: Evaluations, num_tasks: int) -> list[float | None] | None:
    """The random network's accuracies, where state 0 holds other weights."""
    found = evaluations.random
    return None if found is None else _rows([found], num_tasks, lambda each: each.accuracy)[0]


def _require_rows(evaluations: Evaluations, last_state: int) -> Sequence[Evaluation]:
    """Return the evaluation of each state, from state 0 on.

    Raises:
        RunError: one is missing, or they are of another run.
    """
    rows = evaluations.rows
    if [row.after_task for row in rows] != list(range(last_state + 1)):
        raise RunError(
            f"{layout.EVALUATIONS} lacks the evaluation of a state; run `cassle evaluate`"
        )
    return rows


def _probe_names(params: Json) -> Sequence[str]:
    return get_typed(params, tuple[str, ...], "evaluation", "probes")


def _probed(evaluations: Sequence[Evaluation], num_tasks: int, name: str) -> Probed:
    return Probed(
        _rows(evaluations, num_tasks, lambda each: each.probes[name].task_agnostic),
        _rows(evaluations, num_tasks, lambda each: each.probes[name].task_aware),
    )


def _rows(
    evaluations: Sequence[Evaluation], num_tasks: int, choose: Callable[[Evaluation], ByTask]
) -> Cells:
    """One row an evaluation, one number a task; None for a task that was not measured."""
    tasks = [str(task) for task in range(1, num_tasks + 1)]
    return [[choose(evaluation).get(task) for task in tasks] for evaluation in evaluations]
