"""The plan of ``report``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.files.sealed_json import JsonValue


@dataclass(frozen=True)
class ReportPlan:
    """The report of a run.

    Attributes:
        evaluation: the digest of the plan of the evaluations.
        last_state: the number of the run's last state.
        views: the digest of the plan of the sheet of views.
        templates: SHA-256 of the page's templates by name.
        params: all of params.yaml.
        code: the fingerprint of the stage's code.
        protocol: a sentence on how the headline probe's accuracies come about.
    """

    evaluation: str
    last_state: int
    views: str
    templates: Mapping[str, str]
    params: Mapping[str, JsonValue]
    code: str
    protocol: str
