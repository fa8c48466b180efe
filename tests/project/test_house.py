"""Rules of the package: imports, sizes, and words."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pipeline import PUBLIC
from pipeline.building.components import load_class
from pipeline.config.params import Params
from pipeline.config.registry.backbones import BACKBONES
from pipeline.config.registry.component import Component
from pipeline.config.registry.datasets import DATASETS, Dataset
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.optimizers import OPTIMIZERS
from pipeline.config.registry.probes import PROBES, ProbeComponent
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.section import Section
from pipeline.evaluation.base import Probe
from pipeline.layout import (
    ENCODER,
    EVALUATIONS,
    FEATURES,
    SPLIT_INDEX,
    SPLIT_ONLINE,
    SPLIT_ORIGIN,
    VIEWS,
    train_outputs,
)

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "pipeline"
FILES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").rglob("*.py")])
# A room imports only rooms to its right, and what stands alone at the end.
ORDER = [
    "benchmarks",
    "cli",
    "commands",
    "stages",
    "building",
    "training",
    "strategies",
    "methods",
    "evaluation",
    "reporting",
    "config",
    "artifacts",
    "metrics",
    "distributed",
    "data",
    "runtime",
    "models",
    "files",
    "seeding",
    "layout",
    "errors",
]
# Beyond that: what these may import at all.
NARROW = {
    "models": {"models", "errors"},
    "methods": {"methods", "models", "distributed", "errors", "seeding"},
    "strategies": {"strategies", "methods", "models", "distributed"},
    "errors": set(),
    "layout": set(),
    "seeding": set(),
}


@functools.cache
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


def room_of(path: Path) -> str:
    """The room of a file: ``methods``, ``benchmarks``, or the file's own name in the root."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] != "pipeline" else parts[1]


def rooms(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    parts = [name.split(".") for name in imports(path)]
    inside = {part[1] for part in parts if part[0] == "pipeline" and len(part) > 1}
    return inside | {part[0] for part in parts if part[0] == "benchmarks"}


def in_room(room: str) -> list[Path]:
    found = sorted((PACKAGE / room).rglob("*.py"))
    assert found, f"{room} is empty"
    return found


def test_imports_are_seen() -> None:
    learner = rooms(PACKAGE / "training" / "learner.py")
    assert learner >= {"data", "methods", "strategies", "training", "models"}
    assert rooms(ROOT / "benchmarks" / "workloads.py") >= {"building", "data"}


def test_the_root_of_the_package_holds_at_most_six_files() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "errors.py",
        "layout.py",
        "seeding.py",
    }


def test_the_package_tells_the_type_checker_little_and_keeps_its_files_short() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    code = "\n".join(texts.values())
    assert len(re.findall(r"(?<![\w.])cast\(", code)) <= 25
    assert code.count("# type: ignore") <= 10
    long = [path for path, text in texts.items() if text.count("\n") > 250]
    assert [path.relative_to(PACKAGE).as_posix() for path in long] == ["artifacts/split.py"]


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__main__.py"], ids=str)
def test_a_room_imports_only_rooms_to_its_right(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert rooms(path) <= set(ORDER[ORDER.index(room) :])
    assert rooms(path) <= NARROW.get(room, set(ORDER))


def test_no_file_imports_itself_through_others() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    arrows = {
        name: {
            found
            for imported in imports(path)
            for found in (imported, imported.rpartition(".")[0])
            if found in names
        }
        for name, path in names.items()
    }
    while free := {name for name, found in arrows.items() if not found}:
        arrows = {name: found - free for name, found in arrows.items() if name not in free}
    assert not arrows


def test_an_init_holds_a_docstring_alone() -> None:
    # Else a line there would be a part of every stage's code, and a new method retrain them all.
    for path in set(PACKAGE.rglob("__init__.py")) - {PACKAGE / "__init__.py"}:
        assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1, path
    # The one of all names what notebooks use, by texts alone.
    assert not rooms(PACKAGE / "__init__.py")
    for module, name in PUBLIC.values():
        assert name in dir(importlib.import_module(module)), module


@pytest.mark.pipeline
def test_the_package_itself_imports_nothing() -> None:
    code = "import sys, pipeline; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy", "pandas", "rich"} & set(result.stdout.split())


def test_data_know_nothing_of_networks() -> None:
    for path in in_room("data"):
        assert "models" not in rooms(path), path


def test_reports_are_made_without_torch() -> None:
    for path in in_room("reporting"):
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & {"torch", "torchvision", "pytorch_lightning"}, path


def test_only_the_config_reads_yaml_and_only_plan_and_command_line_read_the_config() -> None:
    readers = {path.name for path in FILES if any("yaml" in name for name in imports(path))}
    sweeps = {"sweep_file.py", "sweep_runs.py"}
    merging = {"presets.py", "own_sections.py"}
    assert readers == {"read.py", "yaml_text.py", "chain.py"} | merging | sweeps
    schema = ("pipeline.config.read", "pipeline.config.params", "pipeline.config.resolve")
    users = {path for path in FILES if any(name.startswith(schema) for name in imports(path))}
    users -= {*in_room("config"), *in_room("cli"), *in_room("commands")}
    # The stage, and the benchmarks.
    measuring = {
        f"benchmarks/{name}.py" for name in ("command", "embedding", "online", "plans", "precision")
    }
    found = {path.relative_to(ROOT).as_posix() for path in users}
    assert found <= {"pipeline/stages/plan.py", *measuring}


def test_only_files_that_stages_need_name_one_method_or_strategy() -> None:
    modules = {entry.module for entry in (METHODS | STRATEGIES).values()}
    # What every strategy's first task is trained with, see pipeline.building.training.
    modules.remove("pipeline.strategies.finetune")
    # A method may build on another's loss, as MoCo v2+ distils with SimCLR's.
    for path in sorted(set(FILES) - set(in_room("methods"))):
        users = {m for m in modules if any(name.startswith(f"{m}.") for name in imports(path))}
        assert not users, path


@pytest.mark.pipeline
def test_planning_and_reporting_import_no_torch() -> None:
    modules = ["pipeline.cli.app", "pipeline.config.params", "pipeline.stages.plan"]
    modules += ["pipeline.commands.check", "pipeline.stages.prepare", "pipeline.stages.report"]
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = result.stdout.split()
    assert set(modules) <= set(loaded)
    assert not {"torch", "torchvision", "pytorch_lightning"} & set(loaded)


@pytest.mark.pipeline
def test_the_command_line_starts_without_pydantic() -> None:
    code = "import sys, pipeline.cli.app; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"pydantic", "torch", "numpy", "matplotlib"} & set(result.stdout.split())


def keyword_options(component: Component) -> set[str]:
    parameters = inspect.signature(load_class(component.path, object)).parameters.values()
    return {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("name", "entry"), list((METHODS | STRATEGIES | BACKBONES | PROBES).items())
)
def test_the_registry_lists_the_options_that_the_class_takes(name: str, entry: Component) -> None:
    options = set(entry.options) | set(entry.top_level)
    if isinstance(entry, ProbeComponent) and entry.section:
        section = Params.model_fields[entry.section].annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        options |= set(section.model_fields)
    assert keyword_options(entry) == options


@pytest.mark.parametrize(("name", "entry"), list(DATASETS.items()))
def test_data_sets_take_what_open_source_gives_them(name: str, entry: Component) -> None:
    assert isinstance(entry, Dataset)
    wanted = ["root", "options", "reading"] if entry.files else ["root", "full", "classes"]
    assert list(inspect.signature(load_class(entry.path, object)).parameters) == wanted


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
        "methods": {
            "__init__",
            "base",
            "precision",
            "momentum",
            "queue",
            "contrastive",
            "prototypes",
            "pseudo_negatives",
        },
        "strategies": {"__init__", "base", "memory", "replay", "alignment", "composite"},
    }
    for room in ("methods", "strategies"):
        # In the folder of memories is one rule a file, see its choice.py.
        for path in in_room(room):
            if path.stem not in shared[room] and path.parent.name != "memories":
                assert f"pipeline.{room}.{path.stem}" in listed, path


def test_every_optimizer_is_a_file_of_its_own_name_and_takes_its_options() -> None:
    files = {path.stem for path in (PACKAGE / "training" / "optimizers").glob("*.py")}
    assert files - {"__init__"} == set(OPTIMIZERS)
    for name, entry in OPTIMIZERS.items():
        assert entry.module == f"pipeline.training.optimizers.{name}"
        kind = load_class(entry.path, object)
        assert issubclass(kind, torch.optim.Optimizer)
        given = inspect.signature(kind).parameters.values()
        needed = {p.name for p in given if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
        assert needed == {"lr", "weight_decay", *entry.options}


def test_every_probe_is_a_file_of_its_own_name() -> None:
    for name, entry in PROBES.items():
        assert entry.module == f"pipeline.evaluation.{name}"
        assert issubclass(load_class(entry.path, object), Probe)


def test_stages_put_out_files_not_folders() -> None:
    # A queued experiment on a fresh clone fails where dvc.lock names a folder that has changed.
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        for out in stage.get("do", stage).get("outs", []):
            path = out if isinstance(out, str) else next(iter(out))
            assert Path(path).suffix or path == "data/plan", f"{name}: {path}"


def test_stages_that_read_all_splits_depend_on_the_index() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    slots = 1 + len(stages["train"]["foreach"])
    assert slots == 5
    splits = {f"data/splits/task_{task}.json" for task in range(1, slots + 1)}
    index = str(SPLIT_INDEX)
    assert set(outputs(stages["prepare"])) == splits | {
        index,
        str(SPLIT_ORIGIN),
        str(SPLIT_ONLINE),
    }
    for stage in (stages["evaluate"], stages["report"]):
        assert index in stage["deps"]


def test_each_task_begins_with_the_state_of_the_one_before() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    before = stages["train"]["foreach"]
    assert before == {str(task): str(task - 1) for task in range(2, len(before) + 2)}
    first, later = stages["train_first"], stages["train"]["do"]
    assert set(outputs(first)) == {path.as_posix() for path in train_outputs(1)}
    for task, previous in before.items():
        filled = [
            text.replace("${key}", task).replace("${item}", previous)
            for text in (later["cmd"], *later["deps"], *outputs(later))
        ]
        command, *paths = filled
        assert command == f"python -m pipeline train {task} --planned"
        assert f"data/states/task_{previous}.safetensors" in paths
        assert {path.as_posix() for path in train_outputs(int(task))} <= set(paths)


def test_the_report_depends_on_the_evaluations_and_the_views() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    written = {str(EVALUATIONS), str(FEATURES), str(ENCODER), str(VIEWS)}
    assert set(outputs(stages["evaluate"])) == written
    assert {str(EVALUATIONS), str(VIEWS)} <= set(stages["report"]["deps"])


def test_what_may_outlive_its_images_is_not_deleted_before_its_stage_runs() -> None:
    # DVC deletes the outputs of a stage first, unless they persist.
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in ("plan", "prepare", "evaluate"):
        for out in stages[name]["outs"]:
            assert next(iter(out.values())) == {"persist": True}, f"{name}: {out}"


def outputs(stage: dict[str, list[str | dict[str, object]]]) -> list[str]:
    """The paths of a stage's outputs."""
    return [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]


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
    for path in PACKAGE.rglob("*.py"):
        # A store of images is larger than memory, so it is written as it grows; thousands of small
        # files that can be made again are not synced one by one.
        if path in (
            PACKAGE / "files" / "atomic.py",
            PACKAGE / "files" / "new_folder.py",
            PACKAGE / "data" / "image_files" / "store_writer.py",
        ):
            continue
        ours = imports(path) & {
            "pipeline.files.atomic.write_bytes",
            "pipeline.files.atomic.write_text",
        }
        for name, call in calls(path):
            plain = name in {imported.rpartition(".")[2] for imported in ours}
            last = name.rpartition(".")[2]
            # A figure or an image that goes into memory is written by write_bytes later.
            in_memory = bool(call.args) and ast.unparse(call.args[0]) == "content"
            # An array's own copy() names no file.
            in_memory |= last == "copy" and (not call.args or name == "copy.copy")
            where = f"{path}, line {call.lineno}: {name}"
            assert plain or last not in WRITERS or in_memory, where
            assert not opens_to_write(name, call), where
            assert name not in {"torch.save", "np.save", "np.savez", "numpy.save"}, where
            assert last != "save" or in_memory or name == "save", where


def test_nothing_reads_a_pickle() -> None:
    # One file reads those of torch, and has torch read tensors alone.
    allowed = PACKAGE / "files" / "torch_files.py"
    loads = [call for name, call in calls(allowed) if name == "torch.load"]
    words = [{word.arg: ast.unparse(word.value) for word in call.keywords} for call in loads]
    assert [each.get("weights_only") for each in words] == ["True"]
    for path in FILES:
        found = imports(path)
        assert not {name.split(".")[0] for name in found} & UNPICKLERS, path
        assert not found & {"torch.load", "torch.save", "numpy.load"}, path
        for name, call in calls(path):
            where = f"{path}, line {call.lineno}: {name}"
            assert name != "torch.load" or path == allowed, where
            assert name not in {"np.load", "numpy.load", "eval", "exec"}, where
            assert "allow_pickle" not in {word.arg for word in call.keywords}, where
