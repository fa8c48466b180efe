"""Evaluations of states: accuracies by probe, and ranks of the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import layout
from pipeline.errors import RunError
from pipeline.files.sealed_json import read_sealed, write_sealed
from pipeline.files.typed_json import as_json, from_json

# The task's number as text, as JSON has keys; a task that is missing was not measured.
ByTask = Mapping[str, float]


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
        after_task: the last task the state has learnt; 0: the random network.
        plan: the digest of the plan of the evaluation.
        headline: the name of the leading probe.
        class_names: of the test images, by label.
        accuracy: the headline's, task-agnostic.
        features: SHA-256 of the test images' features.
        probes: accuracies by the probe's name.
        rank: effective rank of the features of each task's test images.
        images: numbers of training and test images.
        gone: the tasks whose images were no longer there when the state was evaluated.
    """

    after_task: int
    plan: str
    headline: str
    class_names: Sequence[str]
    accuracy: ByTask
    features: str
    probes: Mapping[str, ProbeAccuracies]
    rank: ByTask
    images: Mapping[str, int]
    gone: Sequence[int] = ()


def make_command(after_task: int) -> str:
    """The command that makes the evaluation after a task, for messages."""
    return f"run `cassle evaluate {after_task}` first (or `dvc repro`)"


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation.

    Raises:
        RunError: it cannot be written.
    """
    write_sealed(path, as_json(evaluation))


def read_evaluation(after_task: int, plan: str) -> Evaluation:
    """The evaluation after a task.

    Args:
        after_task: 0 is the random network.
        plan: the digest of the plan it has to be of.

    Raises:
        RunError: missing, damaged, or of another plan.
    """
    path, remedy = layout.evaluation(after_task), make_command(after_task)
    held = read_sealed(path, RunError, remedy)
    if held is None:
        raise RunError(f"{path} is empty; {remedy}")
    if held.get("plan") != plan:
        raise RunError(f"{path} is of another plan (params or code changed); {remedy}")
    try:
        return from_json(Evaluation, held)
    except ValueError as error:
        raise RunError(f"{path} is of another version ({error}); {remedy}") from error
