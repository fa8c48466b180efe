"""The results of a run: its accuracy matrix, metrics, cost, and the names of its tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.plans.report import Protocol
from pipeline.artifacts.split import Split, shared_test
from pipeline.artifacts.training_log import Timing
from pipeline.artifacts.transfer import Transfer
from pipeline.files.sealed_json import Json
from pipeline.metrics.accuracy_matrix import (
    Matrix,
    average_accuracy,
    average_incremental_accuracy,
    average_measured,
    backward_transfer,
    forgetting,
    forward_transfer,
    knowledge_gain,
    plasticity,
    stability,
)
from pipeline.reporting.representations import FeatureChange, average_change
from pipeline.reporting.start import name_start
from pipeline.reporting.task_names import (
    give_room,
    list_names,
    name_dataset,
    name_task,
    say_split,
)

Cells = list[list[float | None]]  # one row a state, one cell a task; None: not measured
ROW_ROOM = 14  # characters of a task's name in the name of a row


@dataclass(frozen=True)
class Probed:
    """Accuracies of one probe in percent, by state and task, like ``Results.matrix``.

    A cell is None if it was not measured.

    Attributes:
        task_agnostic: accuracies over all classes.
        task_aware: accuracies within the classes of each image's task; if tasks are domains,
            those of a classifier trained only on the image's domain.
    """

    task_agnostic: Cells
    task_aware: Cells


@dataclass(frozen=True)
class Results:
    """All results that a report shows.

    Attributes:
        params: the planned params.
        matrix: accuracies in percent, row 0 of state 0; None: not measured; see
            ``pipeline.metrics.accuracy_matrix``. The headline probe's, task-agnostic.
        headline: the name of that probe.
        probes: every probe's accuracies.
        ranks: the effective rank of the features of each task's test images, by state; None:
            not measured.
        changes: the features' change by each task, from task 1 on.
        consolidation: the percentage of each task's images that are told to be of it, by state;
            None: not measured.
        splits: the tasks' splits.
        epochs: one row an epoch of all tasks: task, epoch, step, loss terms, spread and rank
            of the projections, learning rate.
        class_names: the class names of the test images, by label.
        protocol: how the headline probe's accuracies come about.
        protocols: how each probe's come about, by its name.
        timings: seconds, steps, device, precision, passes and bytes of each task's training.
        gone: the tasks whose images were no longer here at the last evaluation.
        row_classes: the number of classes that the probes of each row choose from.
        labelled: the images that states are evaluated on, where they are none of the tasks'.
        random: the random network's accuracies, where row 0 is a pretrained one; else None.
        transfer: what the states are worth on other data.
        transfer_protocols: how those accuracies come about, by the probe's name.
    """

    params: Json
    matrix: Cells
    headline: str
    probes: dict[str, Probed]
    ranks: Cells
    changes: list[FeatureChange]
    consolidation: Cells
    splits: list[Split]
    epochs: list[dict[str, str]]
    timings: list[Timing]
    class_names: Sequence[str] = ()
    protocol: str = ""
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    gone: Sequence[int] = ()
    row_classes: Sequence[int] = ()
    labelled: LabelledSet | None = None
    random: Sequence[float | None] | None = None
    transfer: Sequence[Transfer] = ()
    transfer_protocols: Mapping[str, Protocol] = field(default_factory=dict)

    @property
    def num_tasks(self) -> int:
        """The number of tasks, T."""
        return len(self.splits)

    @property
    def at_once(self) -> bool:
        """Whether all tasks were learnt at once."""
        return len(self.timings) < self.num_tasks

    @property
    def after_tasks(self) -> list[int]:
        """The number of learnt tasks at each row of the matrix."""
        return [0, self.num_tasks] if self.at_once else list(range(self.num_tasks + 1))

    @property
    def title(self) -> str:
        """The data and how they were learnt, as the title of the report has them."""
        return (
            f"{name_dataset(self.params)}: {self.params['method']} with {self.params['strategy']}"
        )

    @property
    def headline_learns_while_training(self) -> bool:
        """Whether the headline probe's classifier is trained while the network is."""
        return self.protocols[self.headline].while_training

    @property
    def measured_by(self) -> str:
        """The headline probe and its protocol, as the heads of tables have them."""
        return f"probe {self.headline}: {self.name_protocol(self.headline)}"

    def name_protocol(self, probe: str) -> str:
        """Return a probe's protocol in a few words."""
        return self.protocols[probe].name

    def name_tasks(self, room: int) -> list[str]:
        """Return the tasks' names as columns have them, with so many characters each."""
        return [name_task(split, room, self.gone) for split in self.splits]

    def say_task(self, task: int) -> str:
        """Return a task's name as a sentence has it."""
        return say_split(self.splits[task - 1])

    @property
    def tested_on(self) -> list[str]:
        """The column names of tables and plots; a single one if all tasks share a test set."""
        if shared_test(self.splits):
            return ["whole test set"]
        return self.name_tasks(give_room(self.num_tasks))

    @property
    def columns(self) -> int:
        """The number of columns of ``tested_on``."""
        return 1 if shared_test(self.splits) else self.num_tasks

    @property
    def tested_by_task(self) -> bool:
        """Whether there is a column for each task."""
        return self.columns == self.num_tasks

    @property
    def shown(self) -> Cells:
        """The matrix with the columns of ``tested_on`` only."""
        return [row[: self.columns] for row in self.matrix]

    @property
    def has_accuracies(self) -> bool:
        """Whether any accuracy was measured, by whichever probe."""
        tables = (probed.task_agnostic for probed in self.probes.values())
        return any(
            value is not None for table in (self.matrix, *tables) for row in table for value in row
        )

    @property
    def has_gaps(self) -> bool:
        """Whether an accuracy of ``shown`` was not measured."""
        return any(value is None for row in self.shown for value in row)

    def row_name(self, after: int) -> str:
        """Return the name of a matrix row in tables and plots.

        It has the task's domain, folder or class; several classes stand in its column alone.
        """
        if after == 0:
            return name_start(self.params)
        if self.at_once:
            return "after all tasks"
        if not self._single_names:
            return f"after task {after}"
        return f"after {name_task(self.splits[after - 1], ROW_ROOM)}"

    @functools.cached_property
    def _single_names(self) -> bool:
        """Whether each task is called by one name."""
        return all(len(list_names(split)) == 1 for split in self.splits)

    def metrics(self) -> Json:
        """Return the content of reports/metrics.json, the headline metrics."""
        return {
            "average_accuracy": _rounded(average_accuracy(self.matrix)),
            "forgetting": _rounded(self.by_task(forgetting, self.matrix)),
            "forward_transfer": _rounded(self.by_task(forward_transfer, self.matrix)),
            "average_incremental_accuracy": _rounded(average_incremental_accuracy(self.matrix)),
            "backward_transfer": _rounded(self.by_task(backward_transfer, self.matrix)),
            "knowledge_gain": _rounded(self.by_task(knowledge_gain, self.matrix)),
            "plasticity": _rounded(self.by_task(plasticity, self.matrix)),
            "stability": _rounded(self.by_task(stability, self.matrix)),
            "consolidation": _rounded(average_measured(self.consolidation[-1])),
            "cka": _rounded(average_change(self.changes, gone=bool(self.gone))),
            "headline": self.headline,
            **self._beside_random(),
        }

    def _beside_random(self) -> Json:
        """What the metrics would be with another start, where row 0 is a pretrained network."""
        if self.random is None:
            return {}
        from_random = [self.random, *self.matrix[1:]]
        from_start = functools.partial(forgetting, first=0)
        return {
            "forgetting_from_start": _rounded(self.by_task(from_start, self.matrix)),
            "forward_transfer_random": _rounded(self.by_task(forward_transfer, from_random)),
            "plasticity_random": _rounded(self.by_task(plasticity, from_random)),
        }

    def by_task(self, metric: Callable[[Matrix], float | None], matrix: Matrix) -> float | None:
        """Return a metric that compares tasks; None if all tasks share a test set."""
        return None if shared_test(self.splits) else metric(matrix)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
