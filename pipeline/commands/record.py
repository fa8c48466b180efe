"""preset record: enter the results of runs of a preset into the ledger."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config import presets
from pipeline.config.published_order import DATASETS, PUBLISHED_ORDER
from pipeline.errors import RunError, explain_unreadable
from pipeline.files.atomic import rewrite_text
from pipeline.files.sealed_json import digest
from pipeline.layout import LEDGER, PUBLISHED, REPRODUCED
from pipeline.reporting.comparing.runs import Run, read_run
from pipeline.reporting.comparing.settings import Values, differing_params, read_settings
from pipeline.reporting.ledger.entries import (
    Reproduced,
    add_entries,
    read_published,
    read_reproduced,
    write_reproduced,
)
from pipeline.reporting.ledger.tables import fill_page, list_results
from pipeline.reporting.task_names import name_stream
from pipeline.reporting.text_formats import show_controls
from pipeline.runtime.git import git_revision

DIGITS = 2  # of accuracies and hours
SHOWN = 3  # classes of an order
DIGEST_LENGTH = 8  # of what tells two orders apart


def record(name: str, revisions: Sequence[str], hardware: str) -> None:
    """Enter the results of runs of a preset, and write the ledger anew.

    A result of the same preset, strategy, probe, tasks and seed is replaced.

    Args:
        name: of the preset.
        revisions: where the runs are, as ``cassle compare`` takes them; none: the workspace.
        hardware: that trained them.

    Raises:
        PipelineError: the preset is unknown, a run is not there or is none of the preset, or
            the ledger cannot be read or written.
    """
    if not hardware.strip() or hardware != show_controls(hardware):
        raise RunError("--hardware: expected a line of text, e.g. --hardware 'one NVIDIA A100'")
    values = presets.read_values(name)
    if name not in presets.list_published():
        raise RunError(f"{name} is for images of one's own, and the ledger for published data sets")
    new: list[Reproduced] = []
    for revision in revisions or ["workspace"]:
        new += _describe_run(name, values, read_run(revision), hardware.strip())
    twice = add_entries([], new)[0]
    if len(twice) < len(new):
        raise RunError("two of these runs have the same strategy, tasks and seed; name one of them")
    entries, replaced = add_entries(read_reproduced(REPRODUCED), new)
    page = _make_page(entries)
    write_reproduced(REPRODUCED, entries)
    rewrite_text(LEDGER, page)
    for entry in new:
        print(
            f"{entry.preset}, {entry.strategy}, {entry.protocol}, seed {entry.seed}: "
            f"A {entry.accuracy}, {entry.hours} h"
        )
    print(f"written: {REPRODUCED} and {LEDGER}; {len(new)} results, {len(replaced)} replaced")


def rewrite_ledger() -> None:
    """Write the ledger anew from the results that stand in its two CSV files.

    Raises:
        PipelineError: as ``record``.
    """
    rewrite_text(LEDGER, _make_page(read_reproduced(REPRODUCED)))
    print(f"written: {LEDGER}")


def _make_page(entries: Sequence[Reproduced]) -> str:
    values = {name: presets.read_values(name) for name in presets.list_published()}
    settings = {name: _name_setting(each) for name, each in values.items()}
    ordered = [name for name, each in values.items() if _has_published_order(each)]
    published = read_published(PUBLISHED)
    named = {entry.preset for entry in published} | {entry.preset for entry in entries}
    unknown = named - settings.keys()
    if unknown:
        raise RunError(
            f"{PUBLISHED} and {REPRODUCED} name presets that are not here: "
            f"{', '.join(sorted(unknown))}; mend them, or restore the presets"
        )
    try:
        return fill_page(
            LEDGER.read_text(encoding="utf-8"),
            list_results(published, entries, settings, ordered),
        )
    except PermissionError as error:
        raise RunError(explain_unreadable(LEDGER, error)) from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"{LEDGER} cannot be read ({error}); restore it: git checkout {LEDGER}"
        ) from error


def _name_setting(values: Mapping[object, object]) -> str:
    stream = name_stream(values.get("scenario"))
    return f"{values.get('dataset')}, {stream}, {values.get('num_tasks')} tasks"


def _has_published_order(values: Mapping[object, object]) -> bool:
    return values.get("dataset") in DATASETS and values.get("scenario") == "class"


def _describe_run(
    name: str, values: Mapping[object, object], run: Run, hardware: str
) -> list[Reproduced]:
    """Return a run's results, one for each probe.

    Raises:
        RunError: it is no run of the preset, or lacks what the ledger wants.
    """
    departures = list_departures(values, run.params)
    if departures:
        raise RunError(
            f"{run.name} is no run of the preset {name}: {', '.join(departures)}; run it after "
            f"`cassle preset use {name}`"
        )
    seconds = run.cost.get("training_seconds") if run.cost is not None else None
    if not run.final or not isinstance(seconds, int | float):
        raise RunError(
            f"{run.name}: its reports/ lack accuracies by probe or the time of training, which "
            "an older version did not write; run `dvc repro` there"
        )
    return [
        Reproduced(
            preset=name,
            strategy=str(run.params["strategy"]),
            protocol=probe,
            cut=_name_cut(run.params),
            seed=int(str(run.params["seed"])),
            accuracy=round(accuracy, DIGITS),
            hours=round(seconds / 3600, DIGITS),
            hardware=hardware,
            code=git_revision() if run.revision is None else run.revision[:12],
        )
        for probe, accuracy in run.final.items()
    ]


def _name_cut(params: Mapping[str, Any]) -> str:
    """Return what decided which classes or images each task of a run holds."""
    order = params.get("class_order")
    if params.get("scenario") == "domain":
        return "the domains"
    if order and params.get("scenario") == "class":
        if tuple(order) == PUBLISHED_ORDER:
            return "the published order"
        shown = ", ".join(map(str, order[:SHOWN]))
        return f"class_order {shown}, … ({digest(list(order))[:DIGEST_LENGTH]})"
    return f"split_seed {params.get('split_seed')}"


def list_departures(values: Mapping[object, object], params: Mapping[str, Any]) -> list[str]:
    """Return in which params a run departs from a preset; none: it is a run of it.

    The strategy may be another one: fine-tuning, or one whose options the preset sets. Seeds,
    the order of the classes, the folder of the images, and what changes no result may differ too.

    Args:
        values: what the preset sets.
        params: of the run.
    """
    strategy, options = str(params["strategy"]), values.get("strategies")
    known = {"finetune", *(map(str, options) if isinstance(options, dict) else ())}
    if strategy not in known:
        allowed = ", ".join(sorted(known))
        return [f"strategy: {strategy} instead of one it has options for ({allowed})"]
    wanted = copy.deepcopy(dict(params))
    _start_from_random(wanted)
    for _ in presets.lay_over(wanted, values):
        pass  # each change is made as it is told
    # A strategy is compared without the options of others.
    wanted |= {"strategy": strategy, "class_order": params.get("class_order")}
    ours, theirs = (_settings(each) | _options_of_probes(each, params) for each in (params, wanted))
    return [
        f"{key}: {ours.get(key, 'not set')} instead of {theirs.get(key, 'none')}"
        for key in differing_params([ours, theirs])
    ]


def _start_from_random(params: dict[str, Any]) -> None:
    """Set, in place, what a recipe that names no weights begins with."""
    params["distill_from_start"] = False
    params["backbone"] |= {"weights": None, "freeze_until": None}
    params["train"] |= {"backbone_rate": 1.0, "head_warmup_epochs": 0}


def _settings(params: Mapping[str, Any]) -> Values:
    found = read_settings(dict(params))
    method = {"method": str(params.get("method"))}
    return {**found.shared, **found.method, **found.strategy, **method}


def _options_of_probes(params: Mapping[str, Any], run: Mapping[str, Any]) -> Values:
    """Return the options of all probes of a run, whose results are entered, as params have them."""
    options = params.get("evaluation") or {}
    return {
        f"evaluation.{name}.{key}": json.dumps(value)
        for name in (run.get("evaluation") or {}).get("probes", [])
        for key, value in (options.get(name) or {}).items()
    }
