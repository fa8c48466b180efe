"""The fingerprint of the code: what changes it for which stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import fingerprint
from pipeline.config.fingerprint import closure, code_fingerprint, forget_sources
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.optimizers import OPTIMIZERS
from pipeline.config.registry.probes import PROBES
from pipeline.config.registry.strategies import STRATEGIES

CASSLE = "pipeline.strategies.cassle"
SIMCLR = "pipeline.methods.simclr"
STAGES = ("init", "prepare", "train", "evaluate", "report")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{path.name} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    forget_sources()


def of_stages() -> dict[str, str]:
    return {name: code_fingerprint(f"pipeline.stages.{name}") for name in STAGES}


SAMPLE = '''"""A module."""

import math


class Circle:
    """A circle."""

    def area(self, radius: float) -> float:
        """Return the area."""
        square = radius**2
        return math.pi * square
'''


def add(path: Path, code: str = "EXTRA = 1\n") -> None:
    path.write_text(path.read_text(encoding="utf-8") + code, encoding="utf-8")
    forget_sources()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        square =", "        # A comment.\n        square ="),
        ("radius**2\n", "radius**2  # a comment\n"),
        ("        return", "\n\n        return"),
        ('"""A module."""', '"""Another\n\nmodule.\n"""'),
        ('"""A circle."""', '"""Round."""'),
        ('"""Return the area."""', '"""Return\n\n        it.\n        """'),
    ],
    ids=["comment", "comment behind code", "blank lines", "of module", "of class", "of function"],
)
def test_comments_docstrings_and_blank_lines_do_not_count(
    old: str, new: str, package: Path
) -> None:
    path = package / "training" / "optim.py"
    path.write_text(SAMPLE)
    before = code_fingerprint("pipeline.training.optim")
    edit(path, old, new)
    assert code_fingerprint("pipeline.training.optim") == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("radius**2", "radius**3"),
        ("radius: float", "radius: float = 1.0"),
        ("math.pi * square", "square"),
        ("import math", "import cmath as math"),
    ],
)
def test_code_counts(old: str, new: str, package: Path) -> None:
    path = package / "training" / "optim.py"
    path.write_text(SAMPLE)
    before = code_fingerprint("pipeline.training.optim")
    edit(path, old, new)
    assert code_fingerprint("pipeline.training.optim") != before


def test_a_comment_in_a_strategy_changes_nothing_and_code_does(package: Path) -> None:
    path = package / "strategies" / "cassle.py"
    before = code_fingerprint(CASSLE)
    add(path, "\n\n# A comment.\n")
    assert code_fingerprint(CASSLE) == before
    add(path)
    assert code_fingerprint(CASSLE) != before


def test_indentation_counts(package: Path) -> None:
    path = package / "training" / "optim.py"
    path.write_text("def f(x):\n    if x:\n        x = 1\n    x = 2\n")
    before = code_fingerprint("pipeline.training.optim")
    edit(path, "    x = 2", "        x = 2")
    assert code_fingerprint("pipeline.training.optim") != before


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ('TEXT = """a\n\nb"""\n', "\n\n", "\n\n\n"),
        ('TEXT = """a \nb"""\n', "a ", "a"),
        ("def f(x: int = 1) -> None: ...\n", "= 1", "= 2"),
        ('class Broken(ValueError): """Said."""\n', "ValueError", "TypeError"),
    ],
    ids=["blank line in a string", "space in a string", "stub on one line", "class on one line"],
)
def test_code_counts_where_it_looks_like_layout(
    text: str, old: str, new: str, package: Path
) -> None:
    path = package / "training" / "optim.py"
    path.write_text(text)
    forget_sources()
    before = code_fingerprint("pipeline.training.optim")
    edit(path, old, new)
    assert code_fingerprint("pipeline.training.optim") != before


def test_a_hash_in_a_string_is_no_comment(package: Path) -> None:
    path = package / "training" / "optim.py"
    path.write_text('COLOUR = "#aaaaaa"\n')
    before = code_fingerprint("pipeline.training.optim")
    edit(path, "#aaaaaa", "#bbbbbb")
    assert code_fingerprint("pipeline.training.optim") != before


def test_what_is_imported_counts_directly_or_not(package: Path) -> None:
    before = code_fingerprint(CASSLE), code_fingerprint("pipeline.stages.init")
    add(package / "models" / "heads.py")
    assert code_fingerprint(CASSLE) != before[0]
    assert code_fingerprint("pipeline.stages.init") == before[1]
    add(package / "files" / "atomic.py")
    assert code_fingerprint("pipeline.stages.init") != before[1]


def test_another_method_changes_no_stage(package: Path) -> None:
    before = of_stages()
    (package / "methods" / "other.py").write_text("from pipeline.methods.base import Method\n")
    forget_sources()
    assert of_stages() == before


@pytest.mark.parametrize("name", ["registry/component.py", "registry/methods.py", "params.py"])
def test_a_line_in_the_registry_or_the_schema_retrains_nothing(name: str, package: Path) -> None:
    before = of_stages()
    add(package / "config" / name)
    after = of_stages()
    # A report says what the probes do, which their registry entries know.
    assert {stage for stage in STAGES if after[stage] != before[stage]} <= {"report"}


def test_a_strategy_counts_for_itself_alone(package: Path) -> None:
    names = (CASSLE, SIMCLR, "pipeline.strategies.base")
    before = [code_fingerprint(name) for name in names]
    stages = of_stages()
    add(package / "strategies" / "cassle.py")
    after = [code_fingerprint(name) for name in names]
    assert [now == was for now, was in zip(after, before, strict=True)] == [False, True, True]
    assert of_stages() == stages


@pytest.mark.parametrize("name", ["errors.py", "training/callbacks/progress.py", "cli/app.py"])
def test_what_is_only_shown_changes_nothing(name: str, package: Path) -> None:
    before = of_stages()
    add(package / name)
    assert of_stages() == before


def test_the_order_and_number_of_mentions_do_not_matter() -> None:
    assert code_fingerprint(CASSLE, SIMCLR) == code_fingerprint(SIMCLR, CASSLE, SIMCLR)
    assert code_fingerprint(CASSLE, SIMCLR) != code_fingerprint(SIMCLR)


def test_training_uses_the_learner_but_no_strategy_no_method_and_no_schema() -> None:
    found = set(closure(["pipeline.stages.train_task"]))
    assert {"pipeline", "pipeline.training.learner", "pipeline.stages.train_task"} <= found
    assert {
        "pipeline.data.augmentation.image_ops",
        "pipeline.strategies.base",
        "pipeline.artifacts.state",
    } <= found
    assert not found & {
        "pipeline.config.params",
        "pipeline.config.registry.component",
        "pipeline.stages.plan",
    }
    # The plan adds the optimizer that is chosen.
    assert not {entry.module for entry in OPTIMIZERS.values()} & found
    # Nor on how a stream is cut, nor on other stages' plans: what they make is known by its digest.
    assert not [name for name in found if name.startswith("pipeline.data.stream")]
    plans = {name for name in found if name.startswith("pipeline.artifacts.plans.")}
    others = {
        f"pipeline.artifacts.plans.{name}" for name in ("prepare", "init", "evaluate", "views")
    }
    assert not plans & others
    chosen = {entry.module for entry in (METHODS | STRATEGIES).values()}
    assert found & chosen == {"pipeline.strategies.finetune"}


def test_evaluation_uses_neither_learner_nor_method() -> None:
    found = closure(["pipeline.stages.evaluate"])
    assert "pipeline.evaluation.features" in found
    # The plan adds the probes that are chosen.
    assert not {entry.module for entry in PROBES.values()} & set(found)
    assert not [name for name in found if name.startswith(("pipeline.meth", "pipeline.strat"))]
    assert "pipeline.training.learner" not in found
    assert "pipeline.artifacts.plans.train" not in found
    assert not [name for name in found if name.startswith("pipeline.data.stream")]


def test_the_random_network_depends_on_no_images_and_no_training() -> None:
    found = closure(["pipeline.stages.init"])
    assert "pipeline.artifacts.plans.train" not in found
    assert not [
        name for name in found if name.startswith(("pipeline.data.aug", "pipeline.data.str"))
    ]


def test_a_closure_is_sorted_and_holds_the_packages_and_no_other_names() -> None:
    found = closure([CASSLE])
    assert found == sorted(set(found))
    assert {"pipeline", "pipeline.strategies", "pipeline.methods", "pipeline.models"} <= set(found)
    for name in found:
        path = fingerprint.ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    assert closure(["pipeline.nothing"]) == []


def test_what_editors_leave_is_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pipeline"
    (package / "templates").mkdir(parents=True)
    (package / "code.py").write_text("1")
    (package / "templates/page.html").write_text("<p>")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    before = fingerprint.digest_sources()
    (package / ".#code.py").symlink_to("nobody@nowhere.1")
    (package / ".code.py.swp").write_bytes(b"swap")
    (package / "code.pyc").write_bytes(b"bytecode")
    (package / "gone.py").symlink_to("nowhere.py")
    assert fingerprint.digest_sources() == before
    (package / "code.py").write_text("2")
    assert fingerprint.digest_sources() != before
