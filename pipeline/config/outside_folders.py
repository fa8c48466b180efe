"""What params name that is not in ``data.root``, of which DVC has to be told by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.registry.datasets import DATASETS
from pipeline.data.stream.folders import find_entry

if TYPE_CHECKING:
    from pipeline.config.params import Params


def list_outside(params: Params) -> list[str]:
    """Return what is there and not in data.root, as paths from here.

    They are folders of images, those of the stream and those that states are evaluated on beside
    it, and the file of superclasses.
    """
    data, root = params.data, Path(params.data.root)
    found = [find_entry(root / folder) for folder in data.folders or ()]
    others = [data.labelled_root, *params.evaluation.transfer]
    found += [Path(name) for name in others if name is not None and name not in DATASETS]
    found = [path for path in found if path.is_dir()]
    found += [path for path in [Path(params.stream.superclasses or "")] if path.is_file()]
    return [
        os.path.normpath(path)
        for path in found
        if not path.resolve().is_relative_to(root.resolve())
    ]
