"""The plan of the evaluation on labelled data that are not the stream's."""

from __future__ import annotations

from dataclasses import replace

from pipeline.artifacts.plans.evaluate import TransferData, TransferPlan
from pipeline.artifacts.plans.parts import BackbonePlan, DatasetPlan
from pipeline.artifacts.plans.report import Protocol
from pipeline.config.fingerprint import code_fingerprint
from pipeline.config.options import options_of, plan_component
from pipeline.config.params import Params
from pipeline.config.plan_data import choose_background, plan_dataset
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.registry.probes import PROBES, TRANSFER_PROBES
from pipeline.config.stage_code import fingerprint_transfer
from pipeline.data.image_files.file_options import FileOptions


def choose_transfer(params: Params) -> TransferPlan | None:
    """The other data and the probes that params name, without code; None where they name none."""
    if not params.evaluation.transfer:
        return None
    stream = plan_dataset(params)
    return TransferPlan(
        data=tuple(
            TransferData(name, _plan_data(params, stream, name))
            for name in params.evaluation.transfer
        ),
        probes=tuple(plan_component(params, "probe", name) for name in TRANSFER_PROBES),
        extraction="",
        code="",
    )


def plan_transfer(params: Params, backbone: BackbonePlan) -> TransferPlan | None:
    """The plan of the evaluation on other data; None where params name none.

    Args:
        params: of the run.
        backbone: the network of the features.
    """
    plan = choose_transfer(params)
    if plan is None:
        return None
    return replace(
        plan,
        extraction=code_fingerprint(
            "pipeline.building.state_features",
            "pipeline.building.transfer_images",
            *(each.dataset.path.partition(":")[0] for each in plan.data),
            backbone.path.partition(":")[0],
        ),
        code=fingerprint_transfer(plan, backbone),
    )


def describe_transfer(params: Params) -> dict[str, Protocol]:
    """How the accuracies of each probe on other data come about; empty where there are none."""
    return {
        name: Protocol(PROBES[name].named, PROBES[name].protocol(options_of(params, "probe", name)))
        for name in (TRANSFER_PROBES if params.evaluation.transfer else ())
    }


def _plan_data(params: Params, stream: DatasetPlan, name: str) -> DatasetPlan:
    """Where data lie, and how their images enter a network that has learnt from the stream's.

    Args:
        params: of the run.
        stream: the data set of the stream.
        name: of the data: a data set, or a folder.
    """
    entry = DATASETS[name] if name in DATASETS else DATASETS["image_folder"]
    files, given = None, params.data
    if entry.files:
        read = FileOptions(stream.image_size, choose_background(params), given.interpolation)
        files = replace(
            stream.files or read,
            on_bad_image=given.on_bad_image,
            holdout=given.holdout,
            holdout_by=given.holdout_by,
            holdout_group=given.holdout_group,
        )
    return replace(
        stream,
        name=name if name in DATASETS else "image_folder",
        path=entry.path,
        root=entry.kept_in or name,
        full=not entry.subset,
        classes=entry.classes,
        files=files,
        transformed=None,
    )
