"""What tables say of the headline probe."""

from __future__ import annotations

import json

import pytest

from pipeline.config.registry.probes import PROBES
from pipeline.files.sealed_json import Json
from pipeline.reporting.tables import UNKNOWN, protocol
from tests.support.networks import shipped


def params_with(headline: str) -> Json:
    params: Json = json.loads(shipped().model_dump_json())
    return params | {"evaluation": {**params["evaluation"], "headline": headline}}  # type: ignore[dict-item]


@pytest.mark.parametrize("name", PROBES)
def test_each_probe_says_how_its_accuracies_come_about(name: str) -> None:
    said = protocol(params_with(name))
    assert said.startswith(f"probe {name}, after each task: ")
    assert UNKNOWN not in said
    assert "None" not in said


def test_the_options_are_those_of_the_params() -> None:
    assert "the 20 nearest" in protocol(params_with("knn"))
    assert "standardised features of all training images (SGD, 100 epochs)" in protocol(
        params_with("linear")
    )


def test_a_probe_of_another_version_is_not_guessed() -> None:
    assert protocol(params_with("svm")) == f"probe svm, after each task: {UNKNOWN}; no class masked"
    params = params_with("knn")
    assert UNKNOWN in protocol(params | {"evaluation": {"headline": "knn", "knn": {"k": 5}}})
    assert UNKNOWN in protocol(params | {"evaluation": {"headline": "knn"}})
