"""The files that hold the images of a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.parts import PARTS
from pipeline.data.source import Source


def list_image_files(source: Source) -> Iterator[Path]:
    """Yield the files of a data set as they are now; no image is read.

    Args:
        source: the data set, newly opened.

    Raises:
        DataError: its folders have another layout.
    """
    if isinstance(source, FileSource):
        for part in PARTS:
            for key in source.keys(part):
                yield source.root / key
        return
    for folder, folders, names in os.walk(source.root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)
