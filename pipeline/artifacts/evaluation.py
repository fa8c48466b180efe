"""Evaluations of all states: accuracies by probe, ranks of the features and their change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pipeline import layout
from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.remedy import name_remedy
from pipeline.artifacts.transfer import Transfer
from pipeline.errors import RunError
from pipeline.files.sealed_json import Json, read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

# The task's number as text, as JSON has keys; a task that is missing was not measured.
ByTask = Mapping[str, float]
Value = TypeVar("Value", bound="float | None")
REMEDY = name_remedy("cassle evaluate")
RANDOM = -1  # the number of the random network where state 0 holds other weights


@dataclass(frozen=True)
class ProbeAccuracies:
    """Accuracies of one probe in percent, by task.

    Attributes:
        task_agnostic: over all classes.
        task_aware: within the classes of the image's task; where tasks are domains, of a
            classifier that learnt from the training images of the image's domain alone.
    """

    task_agnostic: ByTask
    task_aware: ByTask


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a state.

    Attributes:
        after_task: the number of the state; 0: what the stream starts from; ``RANDOM``.
        key: the digest of all it was made from.
        state: the content of the state.
        headline: the name of the leading probe.
        class_names: that the probes tell apart, by label.
        accuracy: the headline's, task-agnostic.
        probes: accuracies by the probe's name.
        rank: effective rank of the features of each task's test images.
        images: numbers of training and test images.
        cka: linear CKA of the features with those of the state before, on each task's test
            images; None where features do not vary.
        cka_learnt: likewise on all test images of the tasks that the state before had learnt.
        gone: tasks whose images were no longer here; what it holds of them is of earlier.
        made_by: the digest of the probes, their options and code, and the seed.
        splits: the digest of the split of each task that it was asked about.
        without_images: tasks whose images were no longer here when a probe needed them; what it
            holds of that probe is of earlier.
        consolidation: percentage of each task's images that are told to be of it, among the tasks
            that were asked about; empty of fewer than two.
    """

    after_task: int
    key: str
    state: str
    headline: str
    class_names: Sequence[str]
    accuracy: ByTask
    probes: Mapping[str, ProbeAccuracies]
    rank: ByTask
    images: Mapping[str, int]
    cka: Mapping[str, float | None] = field(default_factory=dict)
    cka_learnt: float | None = None
    gone: Sequence[int] = ()
    made_by: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    without_images: Sequence[int] = ()
    consolidation: ByTask = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of all states of a run.

    Attributes:
        plan: the digest of the plan of ``evaluate``.
        rows: one evaluation a state, from state 0 on.
        features: SHA-256 of the test images' features after the last state.
        others: evaluations by an earlier plan of states that have no row, for what they hold of
            images that are gone.
        labelled: the images, where they are none of the tasks'.
        random: the evaluation of the random network, where state 0 holds other weights.
        transfer: what each state is worth on other data, state after state.
    """

    plan: str
    rows: Sequence[Evaluation]
    features: str
    others: Sequence[Evaluation] = ()
    labelled: LabelledSet | None = None
    random: Evaluation | None = None
    transfer: Sequence[Transfer] = ()

    def by_state(self) -> dict[int, Evaluation]:
        """The latest evaluation of each state, by its number."""
        beside = () if self.random is None else (self.random,)
        return {row.after_task: row for row in (*self.others, *self.rows, *beside)}


def write_evaluations(evaluations: Evaluations) -> None:
    """Write the evaluations of a run.

    Raises:
        RunError: they cannot be written.
    """
    write_sealed(layout.EVALUATIONS, as_json(evaluations))


def read_evaluations(plan: str) -> Evaluations:
    """The evaluations of a run.

    Args:
        plan: the digest of the plan they have to be of.

    Raises:
        RunError: missing, damaged, or of another plan.
    """
    held = _read(layout.EVALUATIONS)
    if held.get("plan") != plan:
        raise RunError(
            f"{layout.EVALUATIONS} is of another plan (params or code changed); {REMEDY}"
        )
    try:
        return from_json(Evaluations, held)
    except ValueError as error:
        raise RunError(f"{layout.EVALUATIONS} is of another version ({error}); {REMEDY}") from error


def find_evaluations() -> Evaluations | None:
    """The evaluations that are here, of whichever plan; None where they are missing or damaged."""
    try:
        return from_json(Evaluations, _read(layout.EVALUATIONS))
    except (RunError, ValueError):
        return None


def repeat_row(row: Evaluation, num_tasks: int) -> Evaluation:
    """The evaluation on images that all tasks share, under each task's number."""
    tasks = [str(task) for task in range(1, num_tasks + 1)]

    def each(held: Mapping[str, Value]) -> dict[str, Value]:
        return {task: value for value in list(held.values())[:1] for task in tasks}

    return replace(
        row,
        accuracy=each(row.accuracy),
        probes={
            name: ProbeAccuracies(each(held.task_agnostic), each(held.task_aware))
            for name, held in row.probes.items()
        },
        rank=each(row.rank),
        cka=each(row.cka),
    )


def find_aware(
    earlier: Evaluation | None, state: str, made_by: str, splits: Mapping[str, str], probe: str
) -> dict[str, float]:
    """The accuracies of classifiers of one domain each that an earlier evaluation holds.

    They depend on the state and on the images of the domain alone, not on other tasks.

    Args:
        earlier: the evaluation; None: there is none.
        state: the content of the state that is asked about.
        made_by: as ``Evaluation.made_by``.
        splits: as ``Evaluation.splits``.
        probe: the name of the probe.
    """
    if earlier is None or (earlier.state, earlier.made_by) != (state, made_by):
        return {}
    known = earlier.probes[probe].task_aware if probe in earlier.probes else {}
    return {
        task: value
        for task, value in known.items()
        if task in splits and earlier.splits.get(task) == splits[task]
    }


def find_probed(
    earlier: Evaluation | None, state: str, made_by: str, probe: str
) -> ProbeAccuracies:
    """The accuracies that an earlier evaluation of a state holds of a probe as it is now, if any.

    Arguments are those of ``find_aware``.
    """
    if earlier is None or (earlier.state, earlier.made_by) != (state, made_by):
        return ProbeAccuracies({}, {})
    return earlier.probes.get(probe, ProbeAccuracies({}, {}))


def keep_gone(row: Evaluation, earlier: Evaluation) -> Evaluation:
    """The evaluation with what an earlier one of the same state holds of tasks that are gone."""
    gone = [str(task) for task in row.gone]

    def join(new: Mapping[str, Value], old: Mapping[str, Value]) -> dict[str, Value]:
        held = {**new, **{task: old[task] for task in gone if task in old}}
        return {task: held[task] for task in sorted(held, key=int)}

    nothing = ProbeAccuracies({}, {})
    before = {name: earlier.probes.get(name, nothing) for name in row.probes}
    return replace(
        row,
        accuracy=join(row.accuracy, before[row.headline].task_agnostic),
        probes={
            name: ProbeAccuracies(
                join(held.task_agnostic, before[name].task_agnostic),
                join(held.task_aware, before[name].task_aware),
            )
            for name, held in row.probes.items()
        },
        rank=join(row.rank, earlier.rank),
        cka=join(row.cka, earlier.cka),
        consolidation=join(row.consolidation, earlier.consolidation),
    )


def _read(path: Path) -> Json:
    held = read_sealed(path, RunError, REMEDY)
    if held is None:
        raise RunError(f"{path} is empty; {REMEDY}")
    return held
