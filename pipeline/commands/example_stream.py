"""example-stream: folders of images that come with the project, to try a stream of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands import example_clothes, example_emoji
from pipeline.config.presets import merge, read_preset, require_writable_path
from pipeline.config.read import parse_params
from pipeline.errors import RunError, closest
from pipeline.files.edits import replace_text
from pipeline.files.new_folder import require_new_folder, write_new_folder
from pipeline.files.sealed_json import Json, dump_json

# What every such stream sets, so that nothing of a data set used before remains in effect.
COMMON: Json = {
    "dataset": "image_folder",
    "num_tasks": None,
    "class_order": None,
    "data": {
        "full": False,
        "folders": None,
        "resize": None,
        "holdout": 0.2,
        "holdout_by": "file",
        "holdout_group": None,
        "duplicates": "keep",
        "classes": "all",
        "background": "white",
        "class_list": None,
        "labelled_root": None,
    },
}


@dataclass(frozen=True)
class ExampleStream:
    """A stream of folders that can be made of files of the project.

    Attributes:
        folder: where its folders go, unless one is named.
        incoming: where the last one goes, as if it came later; None: it goes with the others.
        preset: the preset below its params; None: there is none.
        params: its params, but for ``COMMON`` and data.root.
        make_files: gives the images' bytes by their paths.
    """

    folder: Path
    incoming: Path | None
    preset: str | None
    params: Json
    make_files: Callable[[], dict[str, bytes]]


STREAMS = {
    "clothes": ExampleStream(
        folder=Path("stream"),
        incoming=Path("incoming"),
        preset=None,
        params=example_clothes.PARAMS,
        make_files=example_clothes.make_files,
    ),
    "emoji": ExampleStream(
        folder=Path("data/raw/emoji"),
        incoming=None,
        preset=example_emoji.PRESET,
        params=example_emoji.PARAMS,
        make_files=example_emoji.make_files,
    ),
}


def run(path: Path, name: str, folder: Path | None, incoming: Path | None) -> None:
    """Write the folders of an example stream, and set the params for it.

    Folders that hold just its images stay as they are.

    Args:
        path: the params file, which is set for this stream; its comments stay.
        name: of the stream.
        folder: where the folders go that are there first; None: where the stream says.
        incoming: where the last one goes, as if it came later; likewise.

    Raises:
        PipelineError: there is no such stream, its images are not here, or a folder holds
            something else.
    """
    if name not in STREAMS:
        raise RunError(
            f"example-stream: '{name}' is unknown; {closest(name, STREAMS)}; the folder comes "
            "after it"
        )
    stream = STREAMS[name]
    if incoming is not None and stream.incoming is None:
        raise RunError(
            f"example-stream {name}: its folders are all there first, so there is none for "
            f"{incoming}; leave it out"
        )
    folder, incoming = folder or stream.folder, incoming or stream.incoming
    if incoming is not None and _overlap(folder, incoming):
        raise RunError(
            f"example-stream {name}: {folder} and {incoming} are one folder, or one is in the "
            "other; name two that lie apart"
        )
    for place in filter(None, (folder, incoming)):
        require_writable_path(place, f"example-stream {name}:")
    before = text = path.read_text(encoding="utf-8")
    layers = [read_preset(stream.preset)] if stream.preset else []
    layers += [dump_json(layer) for layer in (COMMON, stream.params)]
    for layer in [*layers, dump_json({"data": {"root": folder.as_posix()}})]:
        text, _ = merge(text, layer)
    parse_params(text, f"{path} for this stream")
    files = stream.make_files()
    last = _domain_of(list(files)[-1]) if incoming else None
    parts = {folder: {name: data for name, data in files.items() if _domain_of(name) != last}}
    if incoming:
        parts[incoming] = {name: data for name, data in files.items() if _domain_of(name) == last}
    new = [place for place, part in parts.items() if not _holds(place, part)]
    for place in new:
        require_new_folder(place)
    for place in new:
        write_new_folder(place, parts[place])
    replace_text(path, before, text)
    for place, part in parts.items():
        domains = dict.fromkeys(map(_domain_of, part))
        print(f"{place}: {len(part)} images in {', '.join(domains)}")
    for line in merge(before, text)[1]:
        print(f"{path}: {line}")


def _overlap(one: Path, other: Path) -> bool:
    first, second = one.resolve(), other.resolve()
    return first.is_relative_to(second) or second.is_relative_to(first)


def _domain_of(name: str) -> str:
    return name.split("/")[0]


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    """Return whether a folder holds just these files."""
    there = 0
    for path in folder.rglob("*"):
        if path.is_file():
            # Ends at the first other file: somebody may have named a folder with many.
            wanted = files.get(path.relative_to(folder).as_posix())
            if wanted is None or path.read_bytes() != wanted:
                return False
            there += 1
    return there == len(files)
