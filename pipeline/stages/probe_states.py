"""The accuracies of a probe on a state: over all classes, and within each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.artifacts.evaluation import ProbeAccuracies
from pipeline.artifacts.online import OnlineOrigin, read_online
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.artifacts.plans.parts import ComponentPlan
from pipeline.artifacts.split import Split
from pipeline.building.augmented_images import AugmentedImages
from pipeline.building.components import load_class
from pipeline.building.labelled_images import LabelledImages
from pipeline.building.state_features import StateFeatures
from pipeline.data.batches import Images
from pipeline.errors import RunError
from pipeline.evaluation.base import FeatureProbe, ImageProbe, OnlineProbe, Probe
from pipeline.evaluation.examples import Examples, renumber
from pipeline.metrics.accuracy import task_agnostic, task_aware
from pipeline.seeding import generator


@dataclass(frozen=True)
class ProbedState:
    """What the probes of a state are asked.

    Attributes:
        state: its number.
        asked: the tasks that it is asked about.
        train: features of these tasks' training images, with labels that count from 0.
        test: likewise of their test images.
        classes: the labels of the stream that those stand for, sorted.
        gone: tasks it is asked about, or would be, whose images are no longer here; looked at
            where a probe needs images.
    """

    state: int
    asked: Sequence[int]
    train: Examples
    test: Examples
    classes: Sequence[int]
    gone: Sequence[int]


class StateProber:
    """Measures probes on states of one run.

    Args:
        plan: of the evaluations.
        splits: of all tasks.
        digests: of the splits.
        labelled: the images.
        features: of the images after each state.
    """

    def __init__(
        self,
        plan: EvaluatePlan,
        splits: Sequence[Split],
        digests: Sequence[str],
        labelled: LabelledImages,
        features: StateFeatures,
    ) -> None:
        self.plan = plan
        self.splits = splits
        self.digests = digests
        self.labelled = labelled
        self.features = features

    def needs_images(self) -> bool:
        """Whether a probe learns from images, so that their features will not do."""
        return any(isinstance(self._build(each), ImageProbe) for each in self.plan.probes)

    def measure(
        self, plan: ComponentPlan, asked: ProbedState, known: Mapping[str, float]
    ) -> ProbeAccuracies | None:
        """A probe's accuracy on each task's test images, in percent, both ways.

        Task-aware is within the classes of the image's task; where tasks are domains, it is by a
        classifier that learnt from the domain's training images alone, on test images of the
        classes that these have. Where all tasks share labelled images of elsewhere, a domain has
        one class alone, or a classifier of the domain alone was not trained, there is none.

        Args:
            plan: of the probe.
            asked: the state, and what it is asked.
            known: task-aware accuracies by task that were measured before, of domains.

        Returns:
            The accuracies; None where images that the probe needs are no longer here.

        Raises:
            PipelineError: the probe's options do not fit the features, or the images or the
                online classifier are not there or not the plan's.
        """
        probe = self._build(plan)
        if isinstance(probe, ImageProbe) and asked.gone:
            return None
        if isinstance(probe, OnlineProbe) and asked.state <= 0:
            return ProbeAccuracies({}, {})
        test, classes = asked.test, asked.classes
        scores = self._score(probe, asked, asked.asked, asked.train, test, len(classes))
        agnostic: dict[str, float] = {}
        aware: dict[str, float] = {}
        for number in asked.asked:
            split = self.splits[number - 1]
            images = test.of(number)
            ours = scores if test.shared else scores[(test.tasks == number).to(scores.device)]
            labels = images.labels.to(scores.device)
            agnostic[str(number)] = task_agnostic(ours, labels)
            if self.labelled.from_elsewhere:
                continue
            own_classes = [classes.index(label) for label in split.classes]
            if split.domain is None:
                aware[str(number)] = task_aware(ours, labels, own_classes)
            elif str(number) in known:
                aware[str(number)] = known[str(number)]
            elif len(own_classes) > 1 and not isinstance(probe, OnlineProbe):
                # To know the domain is to have learnt from its images alone.
                learnt = asked.train.of(number)
                known_classes = [c for c in own_classes if bool((learnt.labels == c).any())]
                asked_now = images.within(known_classes)
                if len(known_classes) < 2 or len(asked_now.labels) == 0:
                    continue
                learnt, asked_now = (renumber(held, known_classes) for held in (learnt, asked_now))
                own = self._score(probe, asked, [number], learnt, asked_now, len(known_classes))
                aware[str(number)] = task_agnostic(own, asked_now.labels.to(own.device))
        return ProbeAccuracies(agnostic, aware)

    def _score(
        self,
        probe: Probe,
        asked: ProbedState,
        tasks: Sequence[int],
        learnt: Examples,
        test: Examples,
        classes: int,
    ) -> Tensor:
        """The scores of test images by a probe that has learnt from some tasks, ``(M, C)``.

        Raises:
            RunError: they are not finite; or as ``measure``.
        """
        random = generator(self.plan.seed, probe.stream)
        if isinstance(probe, FeatureProbe):
            scores = probe.scores(learnt.features, learnt.labels, test.features, classes, random)
        elif isinstance(probe, ImageProbe):
            images = Images(*(self.labelled.open(task, "train") for task in tasks))
            backbone = self.features.load(asked.state)
            train = AugmentedImages(self.plan.dataset, images, learnt.labels, backbone)
            scores = probe.scores(train, test.features, classes, random)
            self.labelled.inputs.require_unchanged()
        else:
            assert isinstance(probe, OnlineProbe), f"{type(probe).__name__} learns from nothing"
            assert self.plan.online is not None, "an online probe without a plan"
            origin = OnlineOrigin(self.plan.online, self.plan.states[asked.state], self.digests)
            held = read_online(asked.state, origin)
            weight, bias = (tensor.to(test.features.device) for tensor in held)
            scores = probe.scores(weight, bias, test.features)[:, list(asked.classes)]
        if not scores.isfinite().all():
            raise RunError("it gave scores that are not finite; change its options")
        return scores

    def _build(self, plan: ComponentPlan) -> Probe:
        return load_class(plan.path, Probe)(**plan.options)
