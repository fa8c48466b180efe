"""The features of labelled images after the states of a run, extracted once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline import layout
from pipeline.artifacts.plans.evaluate import EvaluatePlan
from pipeline.building.labelled_images import LabelledImages
from pipeline.building.trained_backbone import load_backbone
from pipeline.building.views import build_augment
from pipeline.data.batches import Images, ordered_batches
from pipeline.data.parts import PARTS, Part
from pipeline.evaluation.examples import Examples
from pipeline.evaluation.feature_cache import FeatureCache
from pipeline.evaluation.features import BATCH, extract
from pipeline.files.typed_json import as_json
from pipeline.models.backbone import Backbone


class StateFeatures:
    """Features after states, extracted or as they were kept.

    Args:
        plan: of the evaluations.
        contents: the content of each state, by its number.
        labelled: the images.
        device: where features are extracted.
    """

    def __init__(
        self,
        plan: EvaluatePlan,
        contents: Mapping[int, str],
        labelled: LabelledImages,
        device: torch.device,
    ) -> None:
        self.plan = plan
        self.contents = contents
        self.labelled = labelled
        self.device = device
        self.augment = build_augment(plan.dataset, ())
        self.cache = FeatureCache(
            layout.main_checkout() / layout.EXTRACTED,
            {
                "backbone": as_json(plan.backbone),
                "dataset": as_json(plan.dataset),
                "code": plan.extraction,
            },
            device,
        )
        self._loaded: tuple[int, Backbone] | None = None

    def are_here(self, state: int, task: int, part: Part) -> bool:
        """Return whether a task's features after a state are kept, or can be extracted."""
        if not self.labelled.are_gone(task):
            return True
        fingerprint = self.labelled.fingerprint(task, part)
        return self.cache.find(self.contents[state], fingerprint) is not None

    def list_asked(self, state: int, reached: int) -> list[int]:
        """Return which of the first tasks have labels and features after a state."""
        return [
            task
            for task in self.labelled.tasks(reached)
            if all(self.are_here(state, task, part) for part in PARTS)
        ]

    def get(self, state: int, task: int, part: Part) -> Tensor:
        """Return the features of a task's images after a state, float32 ``(N, F)``, on the device.

        Raises:
            PipelineError: the images or the state are not there or not the plan's.
        """

        def extract_now() -> Tensor:
            batches = ordered_batches(Images(self.labelled.open(task, part)), BATCH)
            found = extract(self.load(state), batches, self.augment.normalize)
            # Before it is kept, under the digests of what was there when the stage began.
            self.labelled.inputs.require_unchanged()
            return found

        fingerprint = self.labelled.fingerprint(task, part)
        return self.cache.extract(self.contents[state], fingerprint, extract_now)

    def join(self, state: int, part: Part, asked: Sequence[int]) -> Examples:
        """Return the features of the images of some tasks after a state, on the device.

        Arguments and errors are those of ``get``.
        """
        tasks = self.labelled.tested(asked) if part == "test" else asked
        features = [self.get(state, task, part) for task in tasks]
        labels = [torch.tensor(self.labelled.labels(task, part)) for task in tasks]
        numbers = [torch.full_like(held, n) for n, held in zip(tasks, labels, strict=True)]
        return Examples(
            torch.cat(features),
            torch.cat(labels).to(self.device),
            torch.cat(numbers).to(self.device),
            shared=part == "test" and self.labelled.shared,
        )

    def load(self, state: int) -> Backbone:
        """Return the backbone of a state, on the device.

        Raises:
            PipelineError: the state is not there or not the plan's.
        """
        if self._loaded is None or self._loaded[0] != state:
            backbone, _ = load_backbone(self.plan, state)
            backbone.to(memory_format=torch.channels_last).to(self.device)
            self._loaded = state, backbone
        return self._loaded[1]
