"""Dataclasses from JSON and back: what fits comes back, all else is one clear error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest

from pipeline.files.sealed_json import JsonValue
from pipeline.files.typed_json import as_json, from_json, get_typed


@dataclass(frozen=True)
class Inner:
    number: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"]
    inner: Inner
    numbers: Sequence[int]
    pair: tuple[float, float]
    more: Sequence[Inner] = ()
    maybe: Inner | None = None
    flag: bool = False
    options: Mapping[str, JsonValue] = field(default_factory=dict)


WHOLE = Outer(
    "x", "b", Inner(3), (1, 2), (0.1, 1.0), (Inner(1, 0.25),), Inner(4), True, {"deep": [{"n": 1}]}
)
PLAIN: dict[str, JsonValue] = {
    "name": "x",
    "kind": "b",
    "inner": {"number": 3},
    "numbers": [1, 2],
    "pair": [0.1, 1.0],
}


def test_what_was_written_is_what_is_read() -> None:
    assert from_json(Outer, json.loads(json.dumps(as_json(WHOLE)))) == WHOLE


def test_a_field_that_holds_its_default_is_not_written() -> None:
    plain = Outer("x", "b", Inner(3), [1, 2], (0.1, 1.0), more=[], options={})
    assert as_json(plain) == PLAIN
    assert from_json(Outer, PLAIN) == Outer("x", "b", Inner(3), (1, 2), (0.1, 1.0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name is 3, expected text"),
        ({"kind": "c"}, "kind is 'c', expected 'a' or 'b'"),
        ({"inner": [1]}, "inner is [1], expected an object"),
        ({"inner": {}}, "inner.number is missing"),
        ({"inner": {"number": 1.0}}, "inner.number is 1.0, expected a whole number"),
        ({"inner": {"number": True}}, "inner.number is True, expected a whole number"),
        ({"inner": {"number": 1, "share": "1"}}, "inner.share is '1', expected a number"),
        ({"inner": {"number": 1, "other": 2}}, "inner has the unknown key 'other'"),
        ({"numbers": [1, "2"]}, "numbers[1] is '2', expected a whole number"),
        ({"numbers": "12"}, "numbers is '12', expected a list"),
        ({"pair": [1.0]}, "pair is [1.0], expected a list"),
        ({"more": [{"number": None}]}, "more[0].number is None, expected a whole number"),
        ({"maybe": {"number": "1"}}, "maybe.number is '1', expected a whole number"),
        ({"maybe": 3}, "maybe is 3, expected an object"),
        ({"flag": 1}, "flag is 1, expected true or false"),
        ({"options": []}, "options is [], expected an object"),
        ({"extra": 1}, "it has the unknown key 'extra'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, JsonValue], said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        from_json(Outer, PLAIN | change)
    assert str(caught.value) == said


@pytest.mark.parametrize("key", list(PLAIN))
def test_a_missing_field_is_named(key: str) -> None:
    held = {name: value for name, value in PLAIN.items() if name != key}
    with pytest.raises(ValueError, match=f"^{key} is missing$"):
        from_json(Outer, held)


def test_a_whole_number_may_stand_for_a_number_and_stays_one() -> None:
    found = from_json(Inner, {"number": 1, "share": 2})
    assert type(found.share) is int


def test_nested_values_are_read_by_their_keys() -> None:
    held: dict[str, JsonValue] = {"a": {"b": [1, 2], "c": {"d": "x"}}}
    assert get_typed(held, tuple[int, ...], "a", "b") == (1, 2)
    assert get_typed(held, dict[str, str], "a", "c") == {"d": "x"}
    with pytest.raises(ValueError, match=r"^a\.e is missing$"):
        get_typed(held, int, "a", "e", "f")
    with pytest.raises(ValueError, match=r"^a\.c is \{'d': 'x'\}, expected a whole number$"):
        get_typed(held, int, "a", "c")
