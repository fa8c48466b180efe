"""Whatever params.yaml holds: a valid plan or one clear error, and nothing is trained."""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import layout
from pipeline.config import presets, resolve, stage_code
from pipeline.config.fingerprint import code_fingerprint
from pipeline.errors import ParamsError
from tests.support.fuzzing import count_examples
from tests.support.params import SHIPPED
from tests.support.project import Project

KEYS = sorted(set(re.findall(r"^ *(\w+):", SHIPPED, re.MULTILINE)))
BOMB = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12))]
)
MERGED = "\n".join(
    ["m0: &m0 {k: 1}", *(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}" for i in range(1, 9))]
)  # fmt: skip
NASTY = [
    ".nan", ".inf", "-.inf", "1e999", "-0.0", "9" * 30, "9" * 5000, "-" + "9" * 400, "0x_", "0b", "1_0", "0o8",
    "2001-01-01", "2001-13-45", "2001-01-01T25:00:00Z", "1:2:99", "~", "null", "yes", "true", "''", '"\\0"',
    '"a\\nb"', '"\\ud800"', '"\\UFFFFFFFF"', "!!bool x", "!!int ''", "!!float ''", "!!binary '@'", "!!set {a}",
    "!!python/object/apply:os.system [touch data/states]", "!unknown 1", "&a [*a]", "*missing", "<<: 3", "{<<: 3}",
    "{? [a]: 1}", "{? {a: b}: 1}", "[" * 400, "[" * 400 + "]" * 400, "{a: " * 300, "- - -", "|\n   x", "%", "@", "`",
    "[1, [2, [3]]]", "[[]]", "{}", "[]", "{a: 1, a: 2}", "0.5", "1", "0", "-1", "2", "simclr", "cassle+er",
    "er+er", "+", "../..", "/etc/passwd", "/dev/zero", "x" * 3000, "[0.1, 0.2]", "[0.9, 0.1]", "*a11", "*m8",
]  # fmt: skip

scalars = st.one_of(
    st.sampled_from(NASTY),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12),
    st.lists(st.integers(-3, 300), max_size=4).map(str),
)
LINES = SHIPPED.splitlines()
KINDS = ["value", "value", "key", "remove", "repeat", "add", "bomb"]
changes = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, len(LINES) - 1),
        scalars,
        st.sampled_from(KEYS),
    ),
    min_size=1,
    max_size=4,
)
once = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def changed(edits: list[tuple[str, int, str, str]]) -> str:
    """Return the shipped params with some of their lines not as they should be."""
    lines = list(LINES)
    for kind, place, value, key in edits:
        place %= len(lines)
        indent, name = re.match(r"( *)([\w-]*)", lines[place]).groups()  # type: ignore[union-attr]
        if kind == "value" and name:
            lines[place] = f"{indent}{name}: {value}"
        elif kind == "key":
            lines[place] = lines[place].replace(name, key, 1)
        elif kind == "remove":
            del lines[place]
        elif kind == "repeat":
            lines.insert(place, lines[place])
        elif kind == "add":
            lines.insert(place, f"{indent}{key if len(value) % 2 else 'extra'}: {value}")
        elif kind == "bomb":
            lines[:0] = [BOMB, MERGED]
    return "\n".join(lines) + "\n"


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose code is fingerprinted once."""
    project.make_repository()
    for module in (stage_code, resolve):
        monkeypatch.setattr(module, "code_fingerprint", functools.cache(code_fingerprint))
    return project


def check_answer(project: Project, content: bytes, command: str) -> int:
    """Run a command on a params file; return its exit code."""
    layout.PARAMS.write_bytes(content)
    code, _, err = project.cassle(command)
    assert code in (0, 2), (code, err)
    lines = err.splitlines()
    assert "Traceback" not in err
    assert all(line.startswith("error: ") for line in lines), err
    assert bool(lines) == (code == 2), err
    assert len(lines) <= 25
    assert len(err) < 20_000
    names = {path.name for path in Path("data").iterdir()}
    assert names <= {"fashion_mnist", "plan"}, "no stage has run"
    return code


commands = st.sampled_from(["plan", "check"])


def test_changed_params_give_a_plan_or_a_clear_error(project: Project) -> None:
    codes, seen = set(), set()

    @settings(once, max_examples=count_examples(116, 7000))
    @given(edits=changes, command=commands)
    def each(edits: list[tuple[str, int, str, str]], command: str) -> None:
        content = changed(edits).encode(errors="surrogatepass")
        codes.add(check_answer(project, content, command))
        seen.update((command, kind) for kind, *_ in edits)

    each()
    assert codes == {0, 2}, "some were valid and some were not"
    assert seen == set(itertools.product(("plan", "check"), KINDS)), "each kind came up"


def test_each_nasty_value_gives_a_plan_or_a_clear_error(project: Project) -> None:
    places = [number for number, line in enumerate(LINES) if re.match(r" *[\w-]+:", line)]
    for number, value in enumerate(NASTY):
        place = places[number * len(places) // len(NASTY)]
        content = changed([("value", place, value, "")]).encode(errors="surrogatepass")
        check_answer(project, content, "plan")


@settings(once, max_examples=count_examples(25, 1500))
@given(text=st.one_of(st.text(), scalars, scalars.map(lambda value: f"seed: {value}\n{BOMB}\n")))
def test_any_text_gives_a_clear_error(text: str, project: Project) -> None:
    assert check_answer(project, text.encode(errors="surrogatepass"), "plan") == 2


@settings(once, max_examples=count_examples(25, 1500))
@given(content=st.binary(), place=st.integers(0, len(SHIPPED)))
def test_any_bytes_give_a_plan_or_a_clear_error(
    content: bytes, place: int, project: Project
) -> None:
    assert check_answer(project, content, "check") == 2
    whole = SHIPPED.encode()
    check_answer(project, whole[:place] + content + whole[place:], "check")


@settings(once, max_examples=100)
@given(edits=changes, text=st.none() | scalars)
def test_any_preset_is_laid_over_or_gives_a_clear_error(
    edits: list[tuple[str, int, str, str]], text: str | None
) -> None:
    preset = changed(edits) if text is None else text
    try:
        merged, _ = presets.merge(SHIPPED, preset)
    except ParamsError as error:
        assert str(error)
    else:
        assert isinstance(merged, str)


def test_a_file_that_is_too_long_to_be_params_is_refused(project: Project) -> None:
    assert check_answer(project, b"a: 1\n" * 100_000, "plan") == 2
