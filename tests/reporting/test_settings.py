"""Which params are settings of a run."""

from __future__ import annotations

from pipeline.config.params import Params
from pipeline.config.read import parse_params
from pipeline.reporting.comparing.settings import OF_FILES, read_settings
from tests.support.params import SHIPPED, with_changes


def settings(**changes: object) -> set[str]:
    params: Params = parse_params(with_changes(SHIPPED, changes), "params")
    return {name for name in read_settings(params.model_dump()).shared if name.startswith("data.")}


def test_params_of_image_files_alone_are_no_settings_of_other_data_sets() -> None:
    assert {"background", "holdout_by", "duplicates", "classes", "labelled_root"} <= OF_FILES
    assert settings() == {"data.full"}, "params that are null are none"
    assert "data.background" in settings(dataset="image_folder")
