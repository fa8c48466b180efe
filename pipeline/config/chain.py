"""The task slots of dvc.yaml: read, and written for another number of tasks.

DVC cannot make stages for a number of tasks, so ``dvc.yaml`` lists them. It writes the whole lock
file of a ``dvc.yaml`` again after each stage, so the slots above ``IN_ROOT`` have files of their
own, in ``slots/``, each with a short lock file beside it.
"""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pipeline import layout
from pipeline.errors import ParamsError, RunError, explain_unreadable
from pipeline.files.atomic import require_writable, rewrite_text

IN_ROOT = 20  # slots in the dvc.yaml of the root, and in each file beside it
# Outputs of prepare after the splits.
KEPT = (layout.SPLIT_INDEX, layout.SPLIT_ORIGIN, layout.SPLIT_ONLINE)
# Stages that depend on the folders of images that are not in data.root.
READING = ("plan", "prepare", "evaluate")
OWN_DEPS = ("pipeline", layout.CODE.as_posix(), "${data.root}", "data/states", "data/online")
OWN_FOLDERS = (f"{layout.PLAN.as_posix()}/", "data/splits/")
COMMENT = "Written by `cassle slots`: see the stage `train` in dvc.yaml.\n"


def read_slots() -> int:
    """Return the number of task slots; 0 where there is no dvc.yaml.

    Raises:
        RunError: it is not the pipeline's.
    """
    if not layout.CHAIN.is_file():
        return 0
    return 1 + sum(_count_listed(path, _read(path)) for path in _files())


def read_locked_outputs() -> dict[Path, str]:
    """Return the name of the object in DVC's cache of each output that a dvc.lock names.

    Raises:
        RunError: a dvc.lock cannot be read.
    """
    from ruamel.yaml import YAML

    found: dict[Path, str] = {}
    for path in (chain.with_suffix(".lock") for chain in _files()):
        if not path.is_file():
            continue
        try:
            stages = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["stages"]
            for stage in stages.values():
                found |= {Path(out["path"]): out["md5"] for out in stage.get("outs", [])}
        except PermissionError as error:
            raise RunError(explain_unreadable(path, error)) from error
        except Exception as error:  # the library's constructors raise many types
            raise RunError(
                f"{path} is not DVC's ({' '.join(str(error).split())}); `git checkout {path}` "
                "brings it back"
            ) from error
    return found


def check_slots(count: int) -> None:
    """Check that dvc.yaml lists as many tasks as its stage ``plan`` says.

    Raises:
        RunError: it does not: its lists were changed by hand.
    """
    if (slots := read_slots()) != count:
        raise RunError(
            f"dvc.yaml lists {slots} tasks, and its stage plan says {count}; run `cassle slots N`, "
            "which writes both"
        )


def require_slots(num_tasks: int) -> None:
    """Check that dvc.yaml has a slot for each task; without one there is nothing to check.

    Raises:
        ParamsError: it has too few.
    """
    slots = read_slots()
    if 0 < slots < num_tasks:
        raise ParamsError(
            f"num_tasks is {num_tasks}, and dvc.yaml has slots for {slots} tasks; run `cassle "
            f"slots {num_tasks}`, which trains nothing again"
        )


def ensure_slots(num_tasks: int, outside: Sequence[str] = ()) -> None:
    """Write dvc.yaml anew where it has too few slots, or does not know of a folder.

    Without a dvc.yaml there is nothing to write.

    Args:
        num_tasks: how many slots there have to be.
        outside: folders of images that are not in data.root.

    Raises:
        RunError: dvc.yaml is not the pipeline's, or cannot be written.
    """
    slots = read_slots()
    if slots == 0:
        return
    if slots < num_tasks or set(_list_known()) != set(outside):
        write_slots(max(slots, num_tasks, 2), outside)


def _list_known() -> list[str]:
    """The folders beside data.root that dvc.yaml names."""
    deps = _load(layout.CHAIN)["stages"][READING[-1]]["deps"]
    return [path for path in deps if not _is_own(path)]


def _is_own(path: str) -> bool:
    """Whether a dependency is the chain's own, and no folder of images that params name."""
    return path in OWN_DEPS or path.startswith(OWN_FOLDERS)


def list_unknown(outside: Sequence[str]) -> list[str]:
    """Return those of some folders beside data.root that dvc.yaml does not name.

    Raises:
        RunError: dvc.yaml is not the pipeline's.
    """
    if not layout.CHAIN.is_file():
        return []
    known = set(_list_known())
    return [folder for folder in outside if folder not in known]


def write_slots(count: int, outside: Sequence[str] = ()) -> None:
    """Write the lists of dvc.yaml for a number of tasks; its comments stay.

    Args:
        count: the number of slots, 2 or more.
        outside: folders of images that are not in data.root; DVC has to know of them.

    Raises:
        RunError: dvc.yaml is missing or not the pipeline's, or cannot be written.
    """
    if not layout.CHAIN.is_file():
        raise RunError(f"{layout.CHAIN} is missing here; run this in the project's root")
    root = _load(layout.CHAIN)
    stages = root["stages"]
    template = deepcopy(stages["train"]["do"])
    # In place: comments belong to what is there.
    listed, wanted_slots = stages["train"]["foreach"], _list_slots(2, min(count, IN_ROOT))
    for task in [task for task in listed if task not in wanted_slots]:
        del listed[task]
    listed.update({task: before for task, before in wanted_slots.items() if task not in listed})
    splits = [layout.split(task) for task in range(1, count + 1)]
    # The last ones stay as they are: a blank line belongs to them.
    outs = stages["prepare"]["outs"]
    outs[: -len(KEPT)] = [{path.as_posix(): {"persist": True}} for path in splits]
    stages["plan"]["cmd"] = f"python -m pipeline plan --slots {count}"
    for name in READING:
        deps = stages[name]["deps"]
        for place in reversed(range(len(deps))):
            if not _is_own(deps[place]):
                del deps[place]
        # Before the last one, to which the comment below the list belongs.
        deps[-1:-1] = list(outside)
    wanted = {_file(first): first for first in range(IN_ROOT + 1, count + 1, IN_ROOT)}
    # The root last: where one cannot be written, dvc.yaml stays as it was.
    require_writable([layout.CHAIN.parent, *(path.parent for path in wanted)])
    for path, first in wanted.items():
        do = {"wdir": "../..", **template}
        slots = _list_slots(first, min(count, first + IN_ROOT - 1))
        _dump(path, {"stages": {"train": {"foreach": slots, "do": do}}}, COMMENT)
    _dump(layout.CHAIN, root)
    for path in set(_files()) - {layout.CHAIN, *wanted}:
        shutil.rmtree(path.parent)


def _list_slots(first: int, last: int) -> dict[str, str]:
    """Return each task's number and that of the one before it."""
    from ruamel.yaml.scalarstring import SingleQuotedScalarString as Quoted

    return {Quoted(str(task)): Quoted(str(task - 1)) for task in range(first, last + 1)}


def _files() -> list[Path]:
    return [layout.CHAIN, *sorted(layout.SLOTS.glob("*/dvc.yaml"))]


def _file(first: int) -> Path:
    return layout.SLOTS / f"{first}-{first + IN_ROOT - 1}" / "dvc.yaml"


def _load(path: Path) -> Any:
    return _parse(path, _read(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise RunError(explain_unreadable(path, error)) from error
    except (OSError, ValueError) as error:
        raise _explain_foreign(path, error) from error


def _parse(path: Path, text: str) -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    try:
        held = yaml.load(text)
        len(held["stages"]["train"]["foreach"])
    except Exception as error:  # the library's constructors raise many types
        raise _explain_foreign(path, error) from error
    return held


@functools.lru_cache(maxsize=64)  # a sweep plans many runs, and parsing takes a tenth of a second
def _count_listed(path: Path, text: str) -> int:
    return len(_parse(path, text)["stages"]["train"]["foreach"])


def _explain_foreign(path: Path, error: Exception) -> RunError:
    return RunError(
        f"{path} is not the pipeline's ({' '.join(str(error).split())}); "
        f"`git checkout {path}` brings it back"
    )


def _dump(path: Path, held: object, comment: str = "") -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = io.StringIO()
    yaml.dump(held, written)
    rewrite_text(path, (f"# {comment}" if comment else "") + written.getvalue())
