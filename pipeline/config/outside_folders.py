"""What params name that is not in ``data.root``, of which DVC has to be told by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.registry.datasets import DATASETS
from pipeline.data.stream.folders import find_entry
from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.config.params import Params


def list_outside(params: Params) -> list[str]:
    """Return what is there and not in data.root, as paths from here.

    They are folders of images, those of the stream and those that states are evaluated on beside
    it, and the file of superclasses.

    Raises:
        ParamsError: as ``require_apart``.
    """
    require_apart(params)
    root = Path(params.data.root)
    found = [path for _, path in _list_folders(params) if path.is_dir()]
    found += [path for path in [Path(params.stream.superclasses or "")] if path.is_file()]
    return [
        os.path.normpath(path)
        for path in found
        if not path.resolve().is_relative_to(root.resolve())
    ]


def require_apart(params: Params) -> None:
    """Check that no folder of images holds the project, with all that stages write.

    Raises:
        ParamsError: one does.
    """
    here = Path.cwd().resolve()
    for key, path in [("data.root", Path(params.data.root)), *_list_folders(params)]:
        if path.is_dir() and here.is_relative_to(path.resolve()):
            raise ParamsError(
                f"{key}: '{path}' holds this project and what it writes, which DVC cannot have; "
                "name a folder that holds images alone"
            )


def _list_folders(params: Params) -> Iterator[tuple[str, Path]]:
    """Yield each folder that params name beside data.root, in it or not, with its key."""
    data = params.data
    for folder in data.folders or ():
        yield "data.folders", find_entry(Path(data.root) / folder)
    if data.labelled_root is not None:
        yield "data.labelled_root", Path(data.labelled_root)
    for name in params.evaluation.transfer:
        if name not in DATASETS:
            yield "evaluation.transfer", Path(name)
