"""embed: the features of all images of a folder, in one file; a rerun goes on where it stopped.

Importing this module imports no torch, so that bad input is refused at once.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.artifacts.embeddings import Embeddings, require_ending, write_embeddings
from pipeline.commands.embedding_parts import Parts, Row, gather
from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.kinds import KINDS
from pipeline.data.image_files.tree import list_images
from pipeline.data.names import is_utf8
from pipeline.errors import DataError
from pipeline.files.atomic import require_writable
from pipeline.reporting.text_formats import show_controls

if TYPE_CHECKING:
    from pipeline.building.embedding import Batch
    from pipeline.building.encoder import Encoder

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 10.0  # between two lines, where there is no terminal
BATCH = 512
TIMES = np.iinfo(np.int64)  # nanoseconds since 1970
OnBadImage = Literal["skip", "error"]


def embed(
    folder: str | Path,
    encoder: Encoder | None = None,
    output: str | Path | None = None,
    *,
    batch_size: int = BATCH,
    on_bad_image: OnBadImage = "skip",
    replace: bool = False,
) -> Embeddings:
    """Return the features of all images in a folder and its subfolders.

    With an output, parts are kept beside it as they are made, and images whose features are in them
    or in the output already, and that have not changed since, are not embedded again.

    Args:
        folder: the folder; links are followed.
        encoder: as ``load_encoder`` returns it; None: the last state of the project here.
        output: the file to write, ``.npz`` or ``.parquet``; None: none.
        batch_size: images that pass the network together.
        on_bad_image: leave unreadable images out and name them, or raise an error.
        replace: whether features of another encoder or folder in the output may be replaced.

    Raises:
        PipelineError: the folder holds no readable image, or an unreadable one and they are
            errors; the output is no file of embeddings, of another encoder or folder, or cannot be
            written.
    """
    root, file = Path(folder), None if output is None else Path(output)
    paths = list_paths(root)
    if file is not None:
        require_ending(file)
        require_writable([file.parent])
    if encoder is None:
        from pipeline.building.encoder import load_encoder

        encoder = load_encoder()
    parts = Parts(file, encoder.identity, root)
    known = parts.read(replace=replace)
    stamps = {path: _stamp(root / path) for path in paths}
    missing = [
        path
        for path in paths
        if path not in known or stamps[path] != (known[path].size, known[path].time)
    ]
    if len(missing) < len(paths):
        logger.info("%d of %d images are embedded already", len(paths) - len(missing), len(paths))
    bad: dict[str, str] = {}
    begun = time.monotonic()
    for batch in _watch(_embed_missing(encoder, root, missing, batch_size), len(missing)):
        bad |= batch.bad
        rows = {
            path: Row(*stamps[path], features)
            for path, features in zip(batch.paths, batch.features, strict=True)
        }
        known |= rows
        parts.add(rows)
        if batch.bad and on_bad_image == "error":
            parts.flush()
            path, reason = next(iter(batch.bad.items()))
            raise DataError(
                f"{root / path} is {reason}; mend or remove it, or add --on-bad-image skip"
            )
    good = [path for path in paths if path not in bad]
    if not good:
        path, reason = next(iter(bad.items()))
        raise DataError(f"none of {len(paths)} images in {root} can be read: {path} is {reason}")
    found = gather(encoder.identity, root, {path: known[path] for path in good}, bad)
    if file is not None:
        write_embeddings(file, found)
        parts.remove()
    _report(found, file, len(missing), time.monotonic() - begun)
    return found


def list_paths(root: Path) -> list[str]:
    """Return all images in a folder and its subfolders, as paths relative to it.

    Raises:
        DataError: it is no folder, lies where no file of features can name it, cannot be read or
            holds no image.
    """
    if not root.is_dir():
        what = "a file" if root.exists() else "missing"
        raise DataError(f"{root} is {what}; name a folder of images")
    if not is_utf8(place := str(root.resolve())):
        raise DataError(f"{root} is {place!r}, which is not UTF-8; rename it, or what it lies in")
    paths = list_images(root, root)
    if not paths:
        raise DataError(f"{root} holds no {KINDS} image")
    return paths


def _stamp(path: Path) -> tuple[int, int]:
    """The size and the time of the last change of a file; zeros if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    # Clocks that are wrong, and programs, set times that 64 bits do not hold.
    return status.st_size, min(max(status.st_mtime_ns, TIMES.min), TIMES.max)


def _embed_missing(
    encoder: Encoder, root: Path, paths: Sequence[str], batch_size: int
) -> Iterator[Batch]:
    from pipeline.building.embedding import embed_batches

    return embed_batches(encoder, root, paths, batch_size, _count_cores())


def _count_cores() -> int:
    """The cores that this process may use; all of them where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _watch(batches: Iterable[Batch], total: int) -> Iterator[Batch]:
    """Show how many images are done: a bar on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(file=sys.stderr)
    said, done = time.monotonic(), 0
    columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = bar.add_task("", total=total)
        for batch in batches:
            yield batch
            count = len(batch.paths) + len(batch.bad)
            done += count
            bar.advance(shown, count)
            if not console.is_terminal and time.monotonic() - said > PROGRESS_SECONDS:
                logger.info("%d of %d images embedded", done, total)
                said = time.monotonic()


def _report(found: Embeddings, file: Path | None, count: int, seconds: float) -> None:
    """Say what was done, and name the images that cannot be read."""
    if found.unreadable:
        named = list_first([f"{path} ({why})" for path, why in found.unreadable.items()])
        logger.warning("%d images cannot be read: %s", len(found.unreadable), named)
    width = found.features.shape[1]
    logger.info(
        "%d images of %d features each%s; %d embedded now, in %.1f s",
        len(found),
        width,
        "" if file is None else f" in {show_controls(str(file))}",
        count,
        seconds,
    )
