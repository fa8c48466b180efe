"""The evaluation of states, one after another: features, probes, ranks and change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from pipeline import layout
from pipeline.artifacts.evaluation import (
    Evaluation,
    ProbeAccuracies,
    find_aware,
    find_probed,
    keep_gone,
)
from pipeline.artifacts.features import write_features
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.split import Split, split_digest
from pipeline.building.components import load_class
from pipeline.building.labelled_images import LabelledImages
from pipeline.building.state_features import StateFeatures
from pipeline.data.parts import PARTS
from pipeline.errors import RunError
from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.consolidation import tell_tasks_apart
from pipeline.evaluation.examples import Examples, renumber
from pipeline.evaluation.reach import count_reached
from pipeline.files.sealed_json import digest
from pipeline.files.typed_json import as_json
from pipeline.metrics.cka import linear_cka
from pipeline.metrics.collapse import rankme
from pipeline.runtime.device import Device, choose_device
from pipeline.seeding import generator
from pipeline.stages.probe_states import ProbedState, StateProber


class StateEvaluator:
    """Evaluates states of one run.

    Args:
        plan: of the evaluations.
        splits: of all tasks.
        device: where to run.
        contents: the content of each state that is evaluated, and of the one before it.
        labelled: the images.

    Raises:
        PipelineError: the device is not there.
    """

    def __init__(
        self,
        plan: EvaluatePlan,
        splits: Sequence[Split],
        device: Device,
        contents: Mapping[int, str],
        labelled: LabelledImages,
    ) -> None:
        self.plan = plan
        self.splits = splits
        self.digests = [split_digest(split) for split in splits]
        alone = replace(plan, num_tasks=0, states=(), random=None, transfer=None)
        self.made_by = digest(as_json(alone))
        self.contents = contents
        self.labelled = labelled
        where = torch.device(choose_device(device))
        self.features = StateFeatures(plan, contents, self.labelled, where)
        self.prober = StateProber(plan, splits, self.digests, labelled, self.features)

    def evaluate(
        self, task: int, reached: int, key: str, earlier: Evaluation | None
    ) -> tuple[Evaluation, list[str]]:
        """Return the evaluation of a state, and what to tell people of it, line by line.

        Every probe learns from the features of the training images of all tasks that the state
        is asked about, over all their classes. Where the images of a task are gone, what an
        earlier evaluation of the same state holds of it stays.

        Args:
            task: the number of the state.
            reached: how many tasks it is asked about, from the first.
            key: the digest of all it is made from.
            earlier: an evaluation of the state with that number, of whichever run.

        Raises:
            PipelineError: the images or the state are not there or not the plan's, or a probe's
                options do not fit the features.
        """
        started = time.monotonic()
        asked = self.features.list_asked(task, reached)
        if not asked:
            return self._keep(task, reached, key, earlier)
        classes = self.labelled.present(asked)
        train, test = (renumber(self.features.join(task, part, asked), classes) for part in PARTS)
        if not (train.features.isfinite().all() and test.features.isfinite().all()):
            raise RunError(
                f"the features of {layout.state(task)} are not finite; train the state again"
            )
        seconds = {"features": time.monotonic() - started}
        splits = {str(number): self.digests[number - 1] for number in asked}
        gone = [n for n in self.labelled.tasks(reached) if n not in asked]
        no_images: list[int] = []
        if self.prober.needs_images():
            no_images = [n for n in self.labelled.tasks(reached) if self.labelled.are_gone(n)]
        question = ProbedState(task, asked, train, test, classes, no_images)
        probes = {}
        for each in self.plan.probes:
            started = time.monotonic()
            try:
                known = find_aware(earlier, self.contents[task], self.made_by, splits, each.name)
                measured = self.prober.measure(each, question, known)
            except RunError as error:
                raise RunError(f"{layout.state(task)}, probe {each.name}: {error}") from error
            probes[each.name] = measured or find_probed(
                earlier, self.contents[task], self.made_by, each.name
            )
            seconds[each.name] = time.monotonic() - started
        started = time.monotonic()
        neighbours = load_class(self.plan.consolidation.path, FeatureProbe)(
            **self.plan.consolidation.options
        )
        random = generator(self.plan.seed, neighbours.stream)
        consolidation = tell_tasks_apart(neighbours, train, test, random)
        seconds["consolidation"] = time.monotonic() - started
        cka, cka_learnt = self._compare(task, test, asked)
        row = Evaluation(
            after_task=task,
            key=key,
            state=self.contents[task],
            headline=self.plan.headline,
            class_names=self.labelled.class_names(classes),
            accuracy=probes[self.plan.headline].task_agnostic,
            probes=probes,
            rank={str(n): rankme(test.of(n).features.cpu()) for n in self.labelled.tested(asked)},
            images={"train": len(train.labels), "test": len(test.labels)},
            cka=cka,
            cka_learnt=cka_learnt,
            gone=gone,
            made_by=self.made_by,
            splits=splits,
            without_images=no_images,
            consolidation={str(number): told for number, told in consolidation.items()},
        )
        if earlier is not None and earlier.state == row.state:
            row = keep_gone(row, earlier)
        said = ", ".join(f"task {number} {value:.1f} %" for number, value in row.accuracy.items())
        took = ", ".join(f"{name} {taken:.1f}" for name, taken in seconds.items())
        return row, [f"after task {task}, probe {row.headline}: {said}", f"seconds: {took}"]

    def _keep(
        self, task: int, reached: int, key: str, earlier: Evaluation | None
    ) -> tuple[Evaluation, list[str]]:
        """What an earlier evaluation of a state holds, where no image is here to test it on."""
        nothing = ProbeAccuracies({}, {})
        row = Evaluation(
            after_task=task,
            key=key,
            state=self.contents[task],
            headline=self.plan.headline,
            class_names=[],
            accuracy={},
            probes={each.name: nothing for each in self.plan.probes},
            rank={},
            images=dict.fromkeys(PARTS, 0),
            gone=self.labelled.tasks(reached),
        )
        if earlier is not None and earlier.state == row.state:
            row = replace(keep_gone(row, earlier), cka_learnt=earlier.cka_learnt)
        if not row.gone:
            return row, [
                f"after task {task}: no task has labelled test images, so nothing was measured"
            ]
        return row, [
            f"after task {task}: the images of all tasks that it is asked about are gone; "
            + ("what was measured stays" if row.accuracy else "nothing was measured")
        ]

    def write_last_features(self) -> str:
        """Write the features of the test images after the last state; return their content."""
        last = self.plan.last_state
        asked = self.features.list_asked(last, len(self.splits))
        if not asked:
            nothing = torch.zeros(0, dtype=torch.int64)
            return write_features(torch.zeros(0, 1), nothing, nothing)
        test = self.features.join(last, "test", asked)
        labels = renumber(test, self.labelled.present(asked)).labels
        return write_features(test.features, labels, test.tasks)

    def _compare(
        self, task: int, test: Examples, asked: Sequence[int]
    ) -> tuple[dict[str, float | None], float | None]:
        """The CKA with the state before, by task, and on the tasks which that had learnt."""
        if task <= 0:
            return {}, None
        classes = [split.classes for split in self.splits]
        last, one_ahead = self.plan.last_state, self.plan.one_ahead
        limit = count_reached(task - 1, last, classes, one_ahead=one_ahead)
        before = {
            number: self.features.get(task - 1, number, "test")
            for number in self.labelled.tested(asked)
            if number <= limit and self.features.are_here(task - 1, number, "test")
        }

        def compare(numbers: Sequence[int]) -> float | None:
            if not numbers:
                return None
            old = torch.cat([before[number] for number in numbers])
            new = torch.cat([test.of(number).features for number in numbers])
            return linear_cka(old.cpu().numpy(), new.cpu().numpy())

        learnt = [number for number in before if number < task or test.shared]
        cka = {str(number): compare([number]) for number in before}
        return cka, compare(learnt) if task > 1 else None
