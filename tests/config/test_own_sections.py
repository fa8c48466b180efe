"""Anchors and aliases of params.yaml: a change in one place is none in the others."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.presets import lay_over, merge
from pipeline.config.yaml_text import read_mapping

TEXT = """\
methods:
  simclr:
    projector: &p [256, 128]  # wide
    views: &v
      flip: 0.5  # of both
      blur: 0.1

  # of byol
  byol: {projector: *p, views: *v, ema: &five 5}
  dino:
    <<: *v
    centre: 1
  swav:
    <<: &w {views: {flip: 0.2}}
    queue: *five
  vicreg: *w
"""


def laid(old: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
    """Return values over others, neither of them changed."""
    both = dict(old)
    for key, value in new.items():
        inner = both.get(key)
        both[key] = laid(inner, value) if isinstance(value, dict) and inner else value
    return both


@pytest.mark.parametrize(
    "change",
    [
        "simclr: {projector: [1]}",
        "byol: {projector: [1]}",
        "simclr: {views: {flip: 0.4}}",
        "byol: {views: {flip: 0.4, grey: 0.2}}",
        "dino: {flip: 0.4}",
        "swav: {views: {flip: 0.4}}",
        "vicreg: {views: {flip: 0.4}}",
        "byol: {ema: 6}",
        "swav: {queue: 6}",
    ],
)
def test_a_change_of_a_shared_value_is_made_in_its_place_alone(change: str) -> None:
    change = f"methods: {{{change}}}"
    text, _ = merge(TEXT, change)
    wanted = laid(read_mapping(TEXT, "old"), read_mapping(change, "new"))
    assert read_mapping(text, "merged") == wanted
    # What is written as it was is read as it was: nothing changes again.
    assert merge(text, change)[1] == []


def test_all_that_changes_is_said() -> None:
    assert merge(TEXT, "methods: {simclr: {projector: [1]}}")[1] == [
        "methods.simclr.projector: [256, 128] -> [1]"
    ]


def test_comments_stay_where_they_were_written() -> None:
    text, _ = merge(TEXT, "methods: {simclr: {views: {flip: 0.4}}}")
    assert "flip: 0.4  # of both\n      blur: 0.1\n\n  # of byol\n" in text
    assert text.count("#") == TEXT.count("#")


def test_what_does_not_change_stays_as_it_is_written() -> None:
    same = "methods: {byol: {views: {flip: 0.5}}, dino: {blur: 0.1}}"
    assert merge(TEXT, same) == (TEXT, [])


def test_plain_values_that_are_one_object_change_in_one_place() -> None:
    shared, section = [1], {"x": 1}
    values = {"a": shared, "b": shared, "c": section, "d": section}
    assert len(list(lay_over(values, {"a": [2], "c": {"x": 2}}))) == 2
    assert values == {"a": [2], "b": [1], "c": {"x": 2}, "d": {"x": 1}}
