"""Presets: published params and those for own images, in small files to merge into params.yaml.

A preset holds only the params that it sets; params.yaml keeps its comments and all other
values. Importing this module imports no torch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.chain import ensure_slots
from pipeline.config.outside_folders import list_outside
from pipeline.config.own_sections import is_shared, own_section
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.yaml_text import read_mapping
from pipeline.errors import ParamsError, closest
from pipeline.files.edits import replace_text
from pipeline.files.sealed_json import dump_json
from pipeline.layout import PRESETS, SHIPPED

if TYPE_CHECKING:
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.representer import BaseRepresenter

    from pipeline.config.params import Params


def list_presets() -> list[str]:
    """Return the names of all presets, sorted.

    Raises:
        ParamsError: there are none here.
    """
    if found := sorted(path.stem for path in PRESETS.glob("*.yaml")):
        return found
    published = SHIPPED / PRESETS
    there = f"; this program's are in {published}" if published.is_dir() else ""
    raise ParamsError(
        f"there are no presets in {PRESETS.absolute()}{there}; run this in the project's root"
    )


def list_published() -> list[str]:
    """Return the names of the presets for published data sets, whose images are counted already.

    Raises:
        ParamsError: there are none here, or one cannot be read.
    """
    return [name for name in list_presets() if _is_of_published_data(name)]


def _is_of_published_data(name: str) -> bool:
    entry = DATASETS.get(str(read_values(name).get("dataset")))
    return entry is not None and (entry.train_images is not None or bool(entry.domain_images))


def read_preset(name: str) -> str:
    """Return the text of a preset.

    Raises:
        ParamsError: the name is unknown, or the file cannot be read.
    """
    if name not in list_presets():
        raise ParamsError(f"preset: '{name}' is unknown; {closest(name, list_presets())}")
    path = PRESETS / f"{name}.yaml"
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from error


def read_values(name: str) -> dict[object, object]:
    """Return what a preset sets, by section and key; errors as ``read_preset``."""
    return read_mapping(read_preset(name), name)


def summarize(name: str) -> str:
    """Return a preset's summary, its first line."""
    first, *_ = read_preset(name).splitlines() or [""]
    return first.removeprefix("#").strip()


def merge(
    params: str, preset: str, class_order: Sequence[int] | None = None
) -> tuple[str, list[str]]:
    """Merge a preset into params.

    Args:
        params: the text of params.yaml, a YAML mapping.
        preset: the preset's text.
        class_order: the order of classes to set; None: that of the preset.

    Returns:
        The new text, with its comments, and one line for each changed param.
    """
    from ruamel.yaml import YAML

    new = read_mapping(preset, "the preset")
    if class_order is not None:
        new["class_order"] = [*class_order]
    yaml = YAML()
    # The library would leave the value out, also where it is as it was.
    writers = yaml.representer.yaml_representers
    yaml.representer.yaml_representers = {**writers, type(None): _write_null}
    yaml.preserve_quotes = True
    yaml.width = 120
    old = yaml.load(params)
    changes = list(lay_over(old, new))
    written = io.StringIO()
    yaml.dump(old, written)
    return written.getvalue(), changes


def require_writable_path(path: Path, what: str) -> None:
    """Check that params.yaml can hold a path as it is.

    Args:
        path: as it is to stand there.
        what: what names it, for the message.

    Raises:
        ParamsError: it is not UTF-8, or has characters that YAML does not allow.
    """
    wanted = {"path": str(path)}
    try:
        kept = read_mapping(dump_json(wanted), what) == wanted
    except ParamsError:
        kept = False
    if not kept:
        raise ParamsError(
            f"{what} {str(path)!r} cannot stand in params.yaml, as it is not UTF-8 or has control "
            "characters; rename it"
        )


def lay_over(
    old: MutableMapping[Any, Any], new: Mapping[Any, Any], prefix: str = ""
) -> Iterator[str]:
    """Lay values over others, in place; what is equal stays as it is written.

    A value that other places share, by an alias, changes in none of them.

    Args:
        old: the others, by section and key.
        new: the values.
        prefix: of the keys in the lines.

    Yields:
        One line for each value that changes, as it changes.
    """
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if _differs(before, value):
                yield from lay_over(own_section(old, key), value, f"{prefix}{key}.")
        elif before != value:
            shown = list(before) if isinstance(before, list) else before
            if isinstance(before, list) and isinstance(value, list) and not is_shared(old, key):
                before[:] = value  # keeps how the list is written
            else:
                old[key] = _on_one_line(value)
            yield f"{prefix}{key}: {shown} -> {value}"


def _differs(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> bool:
    """Whether values laid over others change one of them."""
    return any(
        _differs(before, value)
        if isinstance(before := old.get(key), dict) and isinstance(value, dict)
        else before != value
        for key, value in new.items()
    )


def _write_null(writer: BaseRepresenter, _: None) -> ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:null", "null")


def _on_one_line(value: object) -> object:
    """A value as it is to be written: lists within brackets."""
    from ruamel.yaml.comments import CommentedSeq

    if not isinstance(value, list):
        return value
    written = CommentedSeq(value)
    written.fa.set_flow_style()
    return written


def apply_preset(name: str, path: Path, published_order: bool = False) -> list[str]:
    """Merge a preset into a valid params file, and write it if the result is valid too.

    Where dvc.yaml has too few slots for it, they are written as well.

    Args:
        name: the preset's.
        path: the params file.
        published_order: whether ``class_order`` is to be that of the published runs.

    Returns:
        One line for each changed param.

    Raises:
        ParamsError: the preset or the params file is missing or invalid, or their merge is; or
            the preset's classes have no published order.
    """
    from pipeline.config.published_order import PUBLISHED_ORDER, require_published_order

    class_order = PUBLISHED_ORDER if published_order else None
    from pipeline.config.read import read_params_text

    before = read_params_text(path)
    params, merged, changes = _merged_params(name, before, path, class_order)
    if published_order:
        require_published_order(name, params)
    if params.num_tasks is not None:
        ensure_slots(params.num_tasks, list_outside(params))
    replace_text(path, before, merged)
    return changes


def load_with_preset(name: str, path: Path) -> Params:
    """Return the params that ``apply_preset`` would write, and write nothing.

    Raises:
        ParamsError: as ``apply_preset``.
    """
    from pipeline.config.read import read_params_text

    return _merged_params(name, read_params_text(path), path)[0]


def _merged_params(
    name: str, text: str, path: Path, class_order: Sequence[int] | None = None
) -> tuple[Params, str, list[str]]:
    """Return the params with a preset, their text, and what changes; ``path`` is for messages."""
    from pipeline.config.read import parse_params

    parse_params(text, str(path))
    merged, changes = merge(text, read_preset(name), class_order)
    return parse_params(merged, f"{path} with preset {name}"), merged, changes
