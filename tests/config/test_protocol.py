"""What reports say of the headline probe."""

from __future__ import annotations

import pytest

from pipeline.config.read import parse_params
from pipeline.config.registry.probes import PROBES
from pipeline.config.resolve import resolve
from tests.support.params import SHIPPED, with_changes


def protocol(headline: str) -> str:
    changes = {"evaluation.headline": headline, "evaluation.probes": [headline]}
    return resolve(parse_params(with_changes(SHIPPED, changes), "params")).report.protocol


@pytest.mark.parametrize("name", PROBES)
def test_each_probe_says_how_its_accuracies_come_about(name: str) -> None:
    said = protocol(name)
    assert said.startswith(f"probe {name}, after each task: ")
    assert said.endswith("; no class masked")
    assert "None" not in said


def test_the_options_are_those_of_the_params() -> None:
    assert "the 20 nearest" in protocol("knn")
    assert "standardised features of all training images (SGD, 100 epochs)" in protocol("linear")
