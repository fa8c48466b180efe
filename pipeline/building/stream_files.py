"""The files that hold the images of a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.data.datasets.file_source import FileSource
from pipeline.data.parts import PARTS
from pipeline.data.source import Source
from pipeline.errors import DataError


def list_image_files(source: Source) -> Iterator[Path]:
    """Yield the files of a data set as they are now; no image is read.

    Where its folders are not as params name them, since domains are gone, say, these are all
    files in its folder.

    Args:
        source: the data set, newly opened.
    """
    if isinstance(source, FileSource):
        with suppress(DataError):
            yield from [source.root / key for part in PARTS for key in source.keys(part)]
            return
    for folder, folders, names in os.walk(source.root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)
