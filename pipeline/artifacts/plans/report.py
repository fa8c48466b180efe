"""The plan of ``report``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.files.sealed_json import JsonValue


@dataclass(frozen=True)
class Protocol:
    """How the accuracies of a probe come about.

    Attributes:
        name: in a few words, for the heads of tables.
        about: in a sentence.
        while_training: whether it learnt while the network was trained, so that nothing is
            measured on the random network.
    """

    name: str
    about: str
    while_training: bool = False


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
        headline: the name of the leading probe.
        protocols: how the accuracies of each probe come about, by its name.
        transfer: likewise of the probes on other data; empty: there are none.
    """

    evaluation: str
    last_state: int
    views: str
    templates: Mapping[str, str]
    params: Mapping[str, JsonValue]
    code: str
    headline: str
    protocols: Mapping[str, Protocol]
    transfer: Mapping[str, Protocol] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """How the headline probe's accuracies come about, in a sentence."""
        about = self.protocols[self.headline].about
        return f"probe {self.headline}, after each task: {about}; no class masked"
