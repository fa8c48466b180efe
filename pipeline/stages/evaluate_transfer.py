"""The evaluation of states on labelled data beside the stream: features and probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan, TransferData
from pipeline.artifacts.transfer import Transfer
from pipeline.building.components import load_class
from pipeline.building.labelled_images import ImagesFromElsewhere
from pipeline.building.state_features import StateFeatures
from pipeline.data.parts import PARTS
from pipeline.errors import RunError
from pipeline.evaluation.base import FeatureProbe
from pipeline.metrics.accuracy import task_agnostic
from pipeline.runtime.device import Device, choose_device
from pipeline.seeding import generator


class TransferEvaluator:
    """Evaluates states of one run on labelled data beside its stream.

    Args:
        plan: of the evaluations.
        contents: the content of each state that is here.
        images: of the data, by their names.
        device: where to run.

    Raises:
        PipelineError: the device is not there.
    """

    def __init__(
        self,
        plan: EvaluatePlan,
        contents: Mapping[int, str],
        images: Mapping[str, ImagesFromElsewhere],
        device: Device,
    ) -> None:
        assert plan.transfer is not None, "an evaluation on other data without a plan"
        self.transfer = plan.transfer
        self.seed = plan.seed
        where = torch.device(choose_device(device))
        self.features = {
            data.name: StateFeatures(
                replace(plan, dataset=data.dataset, extraction=plan.transfer.extraction),
                contents,
                images[data.name],
                where,
            )
            for data in plan.transfer.data
        }

    def evaluate(self, task: int, data: TransferData, key: str) -> Transfer:
        """Return a state's accuracies on data, over all their classes.

        Args:
            task: the number of the state.
            data: which.
            key: the digest of all it is made from.

        Raises:
            PipelineError: the images or the state are not there or not the plan's, the features
                are not finite, or a probe's options do not fit them.
        """
        held = self.features[data.name]
        train, test = (held.join(task, part, [1]) for part in PARTS)
        if not (train.features.isfinite().all() and test.features.isfinite().all()):
            raise RunError(
                f"the features of {layout.state(task)} on {data.name} are not finite; train the "
                "state again"
            )
        classes = len(held.labelled.source.class_names())
        accuracy = {}
        for plan in self.transfer.probes:
            probe = load_class(plan.path, FeatureProbe)(**plan.options)
            random = generator(self.seed, probe.stream)
            scores = probe.scores(train.features, train.labels, test.features, classes, random)
            if not scores.isfinite().all():
                raise RunError(
                    f"{layout.state(task)} on {data.name}, probe {plan.name}: it gave scores that "
                    "are not finite; change its options"
                )
            accuracy[plan.name] = task_agnostic(scores, test.labels.to(scores.device))
        counts = {"train": len(train.labels), "test": len(test.labels)}
        return Transfer(task, data.name, key, accuracy, counts, classes)
