from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.components import load_class
from pipeline.evaluation.base import Probe
from pipeline.layout import MAX_TASKS, SPLIT_INDEX, VIEWS
from pipeline.registry import (
    BACKBONES,
    DATASETS,
    METHODS,
    PROBES,
    STRATEGIES,
    Component,
    Dataset,
)

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline"
FILES = sorted(PACKAGE.rglob("*.py"))
UPPER = {"stages", "cli", "fit", "learner", "progress", "evaluation"}
UPPER |= {"reporting", "comparing", "page"}


def imports(path: Path) -> set[str]:
    """All modules that a file imports, anywhere in it; ``from a import b`` is ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """The parts of this package that a file imports: ``methods``, ``learner``, ..."""
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "pipeline" and len(part) > 1}


def in_room(room: str) -> list[Path]:
    found = sorted((PACKAGE / room).glob("*.py"))
    assert found, f"{room} is empty"
    return found


def test_imports_are_seen() -> None:
    assert rooms(PACKAGE / "learner.py") >= {"data", "methods", "strategies", "optim"}
    assert "layout" in rooms(PACKAGE / "stages" / "slots.py")


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("models", {"models", "errors"}),
        ("methods", {"methods", "models", "errors", "seeding"}),
        ("strategies", {"strategies", "methods", "models"}),
    ],
)
def test_networks_objectives_and_strategies_import_downwards_only(
    room: str, allowed: set[str]
) -> None:
    for path in in_room(room):
        assert rooms(path) <= allowed, path


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("data", {"models", "methods", "strategies"} | UPPER),
        (
            "reporting",
            {"models", "methods", "strategies", "learner", "stages", "comparing", "page"},
        ),
        ("comparing", {"models", "methods", "strategies", "learner", "stages", "page"}),
        ("page", {"models", "methods", "strategies", "learner", "stages"}),
        ("evaluation", {"methods", "strategies", "learner", "stages", "reporting"}),
    ],
)
def test_data_evaluation_and_reporting_know_nothing_of_training(
    room: str, forbidden: set[str]
) -> None:
    for path in in_room(room):
        assert not rooms(path) & forbidden, path


def test_leaves_import_leaves_alone() -> None:
    for name in ("errors", "estimates", "seeding", "metrics", "similarity", "layout"):
        assert not rooms(PACKAGE / f"{name}.py"), name


def test_reports_are_made_without_torch() -> None:
    for path in (*in_room("reporting"), *in_room("comparing"), *in_room("page")):
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & {"torch", "torchvision", "pytorch_lightning"}, path


def test_only_stages_and_the_command_line_import_stages() -> None:
    users = {path.relative_to(PACKAGE).parts[0] for path in FILES if "stages" in rooms(path)}
    assert users <= {"stages", "cli.py", "benchmarking"}


def test_only_the_config_reads_yaml_and_only_plan_and_command_line_read_the_config() -> None:
    readers = {path.name for path in FILES if any("yaml" in name for name in imports(path))}
    assert readers == {"config.py", "presets.py", "yaml_text.py"}
    users = {path.name for path in FILES if "config" in rooms(path)}
    assert users <= {"plan.py", "check.py", "bench.py", "cli.py", "presets.py"}


def test_only_files_that_stages_need_name_one_method_or_strategy() -> None:
    modules = {entry.module for entry in (METHODS | STRATEGIES).values()}
    modules.discard("pipeline.strategies.base")
    # A method may build on another's loss, as MoCo v2+ distils with SimCLR's.
    for path in sorted(set(FILES) - set(in_room("methods"))):
        users = {m for m in modules if any(name.startswith(f"{m}.") for name in imports(path))}
        assert not users, path


def test_planning_and_reporting_import_no_torch() -> None:
    modules = ["pipeline.cli", "pipeline.config", "pipeline.stages.plan"]
    modules += ["pipeline.stages.check", "pipeline.stages.prepare", "pipeline.stages.report"]
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = result.stdout.split()
    assert set(modules) <= set(loaded)
    assert not {"torch", "torchvision", "pytorch_lightning"} & set(loaded)


def test_the_command_line_starts_without_pydantic() -> None:
    code = "import sys, pipeline.cli; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"pydantic", "torch", "numpy", "matplotlib"} & set(result.stdout.split())


def keyword_options(component: Component) -> set[str]:
    parameters = inspect.signature(load_class(component.path)).parameters.values()
    return {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("name", "entry"), list((METHODS | STRATEGIES | BACKBONES | PROBES).items())
)
def test_the_registry_lists_the_options_that_the_class_takes(name: str, entry: Component) -> None:
    assert keyword_options(entry) == set(entry.options) | set(entry.top_level)


@pytest.mark.parametrize(("name", "entry"), list(DATASETS.items()))
def test_data_sets_take_what_open_source_gives_them(name: str, entry: Component) -> None:
    assert isinstance(entry, Dataset)
    wanted = ["root", "options", "reading"] if entry.files else ["root", "full", "classes"]
    assert list(inspect.signature(load_class(entry.path)).parameters) == wanted


@pytest.mark.parametrize(("name", "entry"), list(DATASETS.items()))
def test_data_sets_have_a_mean_and_a_deviation_for_each_channel(
    name: str, entry: Component
) -> None:
    assert isinstance(entry, Dataset)
    assert len(entry.mean) == len(entry.std) == entry.channels
    assert all(0 < value < 1 for value in (*entry.mean, *entry.std))
    assert len(set(entry.classes)) == len(entry.classes)
    assert (len(entry.classes) > 1) is not entry.files


def test_every_method_and_strategy_file_is_in_the_registry() -> None:
    listed = {entry.module for entry in (METHODS | STRATEGIES).values()}
    shared = {
        "methods": {"__init__", "base", "precision", "distributed", "momentum", "queue"}
        | {"contrastive"},
        "strategies": {"__init__", "memory", "composite"},
    }
    for room in ("methods", "strategies"):
        for path in in_room(room):
            if path.stem not in shared[room]:
                assert f"pipeline.{room}.{path.stem}" in listed, path


def test_every_probe_is_a_file_of_its_own_name() -> None:
    for name, entry in PROBES.items():
        assert entry.module == f"pipeline.evaluation.{name}"
        assert issubclass(load_class(entry.path), Probe)


def test_stages_put_out_files_not_folders() -> None:
    # A queued experiment on a fresh clone fails where dvc.lock names a folder that has changed.
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        for out in stage.get("do", stage).get("outs", []):
            path = out if isinstance(out, str) else next(iter(out))
            assert Path(path).suffix or path == "data/plan", f"{name}: {path}"


def test_who_reads_all_splits_depends_on_their_index() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    splits = {f"data/splits/task_{task}.json" for task in range(1, MAX_TASKS + 1)}
    index = str(SPLIT_INDEX)
    assert splits | {index} <= set(stages["prepare"]["outs"])
    for stage in (stages["evaluate"]["do"], stages["views"], stages["report"]):
        assert index in stage["deps"]


def test_the_report_depends_on_the_views() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages["views"]["outs"] == [str(VIEWS)]
    assert str(VIEWS) in stages["report"]["deps"]


WRITERS = {"write_text", "write_bytes", "savefig", "to_csv", "to_json", "save_file", "tofile"}
WRITERS |= {"fdopen", "mkstemp", "touch", "symlink_to", "hardlink_to", "copy", "copyfile", "move"}
# What runs code, or can be made to, when it reads a file.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """The calls in a file, each with the dotted name that is called: ``torch.save``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            found.append((ast.unparse(node.func), node))
    return found


def opens_to_write(name: str, call: ast.Call) -> bool:
    """Whether a call is ``open(path, "w")`` or ``path.open("w")``, or a mode that is not plain."""
    if name.rpartition(".")[2] != "open":
        return False
    texts = [*call.args[(1 if name == "open" else 0) :], *(word.value for word in call.keywords)]
    modes = [text for text in texts if isinstance(text, ast.Constant)]
    return any(set(str(mode.value)) & set("wax+") for mode in modes if len(str(mode.value)) < 4)


def test_files_are_written_in_one_place_alone() -> None:
    assert opens_to_write("path.open", ast.parse("path.open('wb')").body[0].value)  # type: ignore[attr-defined]
    for path in FILES:
        # A store of images is larger than memory, so it is written as it grows.
        if path in (PACKAGE / "files.py", PACKAGE / "data" / "store_writer.py"):
            continue
        ours = imports(path) & {"pipeline.files.write_bytes", "pipeline.files.write_text"}
        for name, call in calls(path):
            plain = name in {imported.rpartition(".")[2] for imported in ours}
            last = name.rpartition(".")[2]
            # A figure or an image that goes into memory is written by write_bytes later.
            in_memory = bool(call.args) and ast.unparse(call.args[0]) == "content"
            # An array's own copy() names no file.
            in_memory |= last == "copy" and not call.args
            where = f"{path}, line {call.lineno}: {name}"
            assert plain or last not in WRITERS or in_memory, where
            assert not opens_to_write(name, call), where
            assert name not in {"torch.save", "np.save", "np.savez", "numpy.save"}, where
            assert last != "save" or in_memory or name == "save", where


def test_nothing_reads_a_pickle() -> None:
    for path in FILES:
        found = imports(path)
        assert not {name.split(".")[0] for name in found} & UNPICKLERS, path
        assert not found & {"torch.load", "torch.save", "numpy.load"}, path
        for name, call in calls(path):
            where = f"{path}, line {call.lineno}: {name}"
            assert name not in {"torch.load", "np.load", "numpy.load", "eval", "exec"}, where
            assert "allow_pickle" not in {word.arg for word in call.keywords}, where
