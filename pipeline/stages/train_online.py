"""The online classifier of a task: what it is trained from, and its file."""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline.artifacts.online import OnlineOrigin, read_online, write_online
from pipeline.artifacts.plans.files import plan_digest
from pipeline.artifacts.plans.online import OnlinePlan
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.artifacts.split import Split, read_splits, split_digest
from pipeline.building.data import open_source
from pipeline.building.split_images import open_images
from pipeline.building.views import build_augment
from pipeline.data.batches import Images
from pipeline.errors import DataError
from pipeline.runtime.inputs import Inputs
from pipeline.training.learner import Learner
from pipeline.training.online import LabelledStream, OnlineOrder, OnlineTrainer


def begin_online(
    plan: TrainPlan, online: OnlinePlan, learner: Learner, inputs: Inputs
) -> OnlineTrainer:
    """The trainer of the classifier, from where the task before left it.

    Args:
        plan: of the task's training.
        online: of the classifier.
        learner: of the network; it has not begun.
        inputs: what the stage is made from; the images of all tasks are noted among them.

    Raises:
        PipelineError: images, splits or the classifier before are missing, damaged or not the
            plan's, or no image has a label.
    """
    splits = read_splits(online.num_tasks)
    stream = _open_stream(plan, [split for split in splits if split.labels["train"]], inputs)
    order = OnlineOrder(
        len(stream.images),
        plan.train.batch_size,
        learner.steps.per_epoch,
        learner.steps.total,
        plan.seed,
        plan.task,
    )
    optimization = learner.optimization
    if plan.online_stream is not None:  # whose rate is constant, the classifier's too
        optimization = replace(optimization, final_learning_rate=online.learning_rate)
    trainer = OnlineTrainer(
        stream,
        build_augment(plan.dataset, (online.view,)),
        learner.method.backbone.num_features,
        optimization,
        online.learning_rate,
        order,
    )
    if plan.task > 1:
        weight, bias = read_online(plan.task - 1, _describe_origin(online, plan.previous))
        trainer.load({"weight": weight, "bias": bias})
    return trainer


def write_classifier(plan: TrainPlan, online: OnlinePlan | None, learner: Learner) -> None:
    """Write the classifier after a task; ``null`` where there is none.

    Raises:
        RunError: the file cannot be written.
    """
    if online is None or learner.online is None:
        write_online(plan.task, None, OnlineOrigin("", "", ()))
    else:
        origin = _describe_origin(online, plan_digest(plan))
        write_online(plan.task, learner.online.tensors(), origin)


def _describe_origin(online: OnlinePlan, training: str) -> OnlineOrigin:
    splits = [split_digest(split) for split in read_splits(online.num_tasks)]
    return OnlineOrigin(plan_digest(online), training, splits)


def _open_stream(plan: TrainPlan, labelled: list[Split], inputs: Inputs) -> LabelledStream:
    """The labelled training images of all tasks.

    Raises:
        DataError: they are gone, or not those of the splits, or there are none.
    """
    source = open_source(plan.dataset)
    try:
        if not labelled:
            raise DataError("no training image has a label")
        images = Images(*(open_images(source, "train", split, inputs) for split in labelled))
    except DataError as error:
        raise DataError(
            "probe online learns from the labelled images of all tasks while each task trains: "
            f"{error}; or leave online out of evaluation.probes"
        ) from error
    labels = [label for split in labelled for label in split.labels["train"]]
    highest = max(label for split in labelled for label in split.classes)
    return LabelledStream(images, torch.tensor(labels), highest + 1)
