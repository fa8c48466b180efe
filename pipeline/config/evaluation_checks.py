"""Checks of the probes that params name, and of what their options need."""

from __future__ import annotations

from pipeline.config.checks import require_chosen
from pipeline.config.data_sections import Data
from pipeline.config.option_types import require_milestones
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.registry.probes import (
    CONSOLIDATION_PROBE,
    PROBES,
    TRANSFER_PROBES,
    list_while_training,
)
from pipeline.config.sections import EvaluationChoice, Train
from pipeline.errors import closest, shorten
from pipeline.files.typed_json import get_typed


def check_online(given: EvaluationChoice, scenario: str, data: Data, train: Train) -> None:
    """Check that stream and schedule fit a probe that learns while the network is trained.

    Raises:
        ValueError: the stream grows, its images have no labels, or the schedule begins or ends
            above the probe's rate.
    """
    names = list_while_training(given.probes)
    if not names:
        return
    needs = f"evaluation.probes: {names[0]} learns from the labelled images of all tasks"
    if scenario == "folders":
        raise ValueError(
            f"{needs} while each task trains, and those of a stream that grows (scenario: "
            "folders) are not there yet; leave it out"
        )
    if data.labelled_root is not None:
        raise ValueError(
            f"{needs} of the stream, and with data.labelled_root these have none; leave it out"
        )
    peak = (given.options_of(names[0]) or {}).get("learning_rate")
    for key in ("warmup_start", "final_learning_rate"):
        rate = getattr(train, key) * train.rate_scale
        if isinstance(peak, int | float) and rate > peak:
            raise ValueError(
                f"evaluation.{names[0]}.learning_rate must be at least train.{key} ({rate:g}), "
                f"as it follows that schedule, got {peak}"
            )


def check_transfer(given: EvaluationChoice) -> None:
    """Check that what states are evaluated on beside the stream is there once, and can be probed.

    Raises:
        ValueError: data are named twice, are a data set that lies in no known folder, or the
            options of a probe are missing.
    """
    for name in given.transfer:
        if given.transfer.count(name) > 1:
            raise ValueError(f"evaluation.transfer: {shorten(name)} is there twice")
        if name in DATASETS and not DATASETS[name].kept_in:
            raise ValueError(
                f"evaluation.transfer: {name} lies in no folder that is known here; name a folder "
                "of class folders (or of train/ and test/ with such), ./NAME or a whole path"
            )
    for name in TRANSFER_PROBES if given.transfer else ():
        require_chosen("evaluation.transfer", name, PROBES, "evaluation", given)


def check_probes(given: EvaluationChoice) -> None:
    """Check that the probes exist, are not repeated, and include the headline.

    Raises:
        ValueError: a probe is unknown or repeated, its milestones come after its epochs, the
            headline is not among them, or the options of the one that tells the tasks apart are
            missing.
    """
    names = given.probes
    _require_probes("evaluation.probes", names, given)
    require_chosen("evaluation", CONSOLIDATION_PROBE, PROBES, "evaluation", given)
    for name in names:
        options = given.options_of(name) or {}
        if "milestones" in options:
            try:
                require_milestones(
                    get_typed(options, int, "epochs"),
                    get_typed(options, tuple[int, ...], "milestones"),
                )
            except ValueError as error:
                raise ValueError(f"evaluation.{name}.{error}") from error
    if given.headline not in names:
        raise ValueError(
            f"evaluation.headline: {shorten(given.headline)} is not among evaluation.probes; "
            f"{closest(given.headline[:80], names)}"
        )


def check_probing(given: EvaluationChoice, train: Train) -> None:
    """Check the probes that are measured while a task trains.

    Raises:
        ValueError: one is unknown, is there twice, or does not learn from features alone; or there
            are fewer epochs than there shall be between two measurements.
    """
    key, names = "evaluation.while_training", given.while_training
    _require_probes(key, names, given)
    allowed = [
        name for name, probe in PROBES.items() if not probe.while_training and not probe.sees_images
    ]
    for name in names:
        if name not in allowed:
            raise ValueError(
                f"{key}: {name} cannot be fitted within an epoch; one of: {', '.join(allowed)}"
            )
    if given.every is not None and given.every > train.epochs:
        raise ValueError(
            f"evaluation.every must be at most train.epochs ({train.epochs}), got {given.every}"
        )


def _require_probes(key: str, names: list[str], given: EvaluationChoice) -> None:
    """Check that probes exist, are there once and have their options.

    Raises:
        ValueError: not so.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{key}: {shorten(name)} is there twice in {shorten(names)}")
        require_chosen(key, name, PROBES, "evaluation", given)
