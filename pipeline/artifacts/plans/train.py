"""The plans of ``train``: what is trained, and on which machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.artifacts.plans.parts import BackbonePlan, ComponentPlan, DatasetPlan
from pipeline.data.augmentation.view_augment import ViewAugment


@dataclass(frozen=True)
class OptimizationPlan:
    """The optimizer, its schedule and the batches; see ``pipeline.training.optim.Optimization``.

    Attributes:
        batch_size: images of an optimizer's step, over all processes and parts.
        accumulate_grad_batches: parts of a step's batch that pass one after another.
        batchnorm_groups: processes that each take BatchNorm's statistics for themselves; 1: all
            together.
        precision: ``auto``, ``32-true`` or ``bf16-mixed``.
        backbone_rate: the factor on the learning rate of the backbone's parameters.
        head_warmup_epochs: epochs at the beginning in which the backbone stays as it is.
        budget: images that pass forward and backward in the task, in place of epochs; None:
            epochs decide.
    """

    optimizer: ComponentPlan
    epochs: int
    batch_size: int
    accumulate_grad_batches: int
    batchnorm_groups: int
    learning_rate: float
    weight_decay: float
    exclude_norms_and_biases: bool
    warmup_epochs: float
    warmup_start: float
    final_learning_rate: float
    precision: str
    backbone_rate: float = 1.0
    head_warmup_epochs: int = 0
    budget: int | None = None


@dataclass(frozen=True)
class WholeStreamPlan:
    """The stream, for a strategy that learns all tasks at once.

    Attributes:
        tasks: how many tasks.
        splits: the digest of the plan that cuts them.
    """

    tasks: int
    splits: str


@dataclass(frozen=True)
class OnlineStreamPlan:
    """A stream whose images come once, in minibatches.

    Attributes:
        passes: steps on each minibatch.
        told: whether strategies are told where a task ends; else training goes on as if there
            were none.
    """

    passes: int
    told: bool


@dataclass(frozen=True)
class TrainPlan:
    """The training of one task.

    Attributes:
        task: its number, from 1.
        seed: of the run.
        dataset: the data set.
        views: how each view of an image is made.
        backbone: the network of the features.
        method: the self-supervised objective.
        train: how the weights move.
        previous: the digest of the plan that makes the state it starts from.
        code: the fingerprint of the stage's code.
        strategies: against forgetting; none on a task 1 that is the same for all of them.
        compose: ``module:class`` of what holds several strategies; None: there is one or none.
        whole_stream: all tasks at once; None: this task alone.
        looks_back: whether a strategy reads the images of the task before.
        freeze_until: the backbone's last part that does not train; None: all of it trains.
        online_stream: the images come once; None: they pass in epochs.
    """

    task: int
    seed: int
    dataset: DatasetPlan
    views: Sequence[ViewAugment]
    backbone: BackbonePlan
    method: ComponentPlan
    train: OptimizationPlan
    previous: str
    code: str
    strategies: Sequence[ComponentPlan] = ()
    compose: str | None = None
    whole_stream: WholeStreamPlan | None = None
    looks_back: bool = False
    freeze_until: str | None = None
    online_stream: OnlineStreamPlan | None = None

    @property
    def tasks(self) -> Sequence[int]:
        """The tasks whose images are learnt."""
        whole = self.whole_stream
        return [self.task] if whole is None else range(1, whole.tasks + 1)

    @property
    def goes_on(self) -> bool:
        """Whether training goes on from the task before as if there were no boundary."""
        stream = self.online_stream
        return stream is not None and not stream.told and self.task > 1

    @property
    def stays_open(self) -> bool:
        """Whether the state has to hold what training goes on with in the next task."""
        return self.online_stream is not None and not self.online_stream.told


@dataclass(frozen=True)
class MachinePlan:
    """Settings of training that change no result.

    Attributes:
        devices: of each machine: GPUs, or processes on a CPU.
        num_nodes: machines.
        loggers: what watches training.
    """

    devices: int
    num_nodes: int
    loggers: Sequence[ComponentPlan] = ()
