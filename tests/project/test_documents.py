"""What the documents tell people to type is accepted."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.config.read import parse_params
from pipeline.layout import PARAMS
from tests.support.params import ROOT

pytestmark = pytest.mark.pipeline

# What docs/extending.md sets has to be added first: test_extending.py does both.
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "extending.md"]
DOCUMENTS = [ROOT / "README.md", *PAGES]
SWEPT = re.compile(r"-S '?([a-z_0-9.]+)=([^\s'`]+)")


def overrides() -> list[tuple[str, str]]:
    """Return each line that sets params, with its document."""
    found = [
        (path.name, line)
        for path in DOCUMENTS
        for line in path.read_text(encoding="utf-8").splitlines()
        if SWEPT.search(line)
    ]
    assert len(found) > 10
    return found


@pytest.mark.parametrize(("document", "line"), overrides())
def test_params_set_on_the_command_line_fit_together(document: str, line: str) -> None:
    yaml = YAML(typ="safe")
    for number in range(5):
        params = yaml.load(Path(ROOT / PARAMS))
        for key, given in SWEPT.findall(line):
            # A list without brackets is a sweep: one run for each.
            values = given.split(",") if "[" not in given else [given]
            value = values[number % len(values)]
            *path, last = key.split(".")
            place = params
            for name in path:
                place = place[name]
            assert last in place, key
            if not value.startswith("$"):
                place[last] = yaml.load(value)
        text = io.StringIO()
        yaml.dump(params, text)
        parse_params(text.getvalue(), document)
