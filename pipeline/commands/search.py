"""search: the images nearest to one, printed and as a page.

Importing this module imports no torch.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipeline import layout
from pipeline.artifacts.embeddings import ENDINGS, Embeddings, read_embeddings
from pipeline.commands.embed import embed, list_paths
from pipeline.errors import DataError, RunError
from pipeline.files.atomic import is_special, require_writable, write_text
from pipeline.reporting.search.page import Found, Hit, render_found
from pipeline.reporting.terminal_text import format_terminal

if TYPE_CHECKING:
    from pipeline.building.encoder import Encoder

PAGE_ENDINGS = (".html", ".htm")

logger = logging.getLogger(__name__)


def require_searchable(image: Path, place: Path, page: Path | None) -> None:
    """Check what can be checked before the encoder is loaded.

    Args:
        image: the image whose neighbours are asked for.
        place: a folder of images, or a file that ``cassle embed`` wrote.
        page: the page to write; None: none.

    Raises:
        PipelineError: the image or the place is missing or of another kind, or the page cannot be
            written.
    """
    if not image.exists():
        raise DataError(f"{image} is missing; name an image file")
    if image.is_dir() or is_special(image):
        raise DataError(f"{image} is no image file; name one")
    if not place.exists():
        raise RunError(f"{place} is missing; name a folder of images, or a file of `cassle embed`")
    if not place.is_dir() and place.suffix not in ENDINGS:
        raise RunError(
            f"{place} is neither a folder of images nor an {' or '.join(ENDINGS)} file of "
            "`cassle embed`"
        )
    if place.is_dir():
        list_paths(place)
    if page is not None:
        if page.is_dir():
            raise RunError(f"{page} is a folder; name a file for the page")
        if page.suffix.lower() not in PAGE_ENDINGS:
            raise RunError(f"--page: '{page}' must end in {' or '.join(PAGE_ENDINGS)}")
        require_writable([page.parent])


def run(image: Path, place: Path, encoder: Encoder, count: int, page: Path | None) -> None:
    """Print the nearest images, and write the page.

    Arguments are those of ``require_searchable``, and:

    Args:
        image: likewise.
        place: likewise; a folder is embedded first, as far as it has changed.
        encoder: has to be the one that embedded the place.
        count: how many images to find.
        page: likewise.

    Raises:
        PipelineError: the image cannot be read, or the features are of another encoder.
    """
    query = encoder(image)
    held = open_place(place, encoder)
    # The image itself is no answer.
    itself = image.resolve()
    root = Path(held.root)
    hits = [
        Hit(root / name, name, cosine)
        for name, cosine in held.nearest(query, count + 1)
        if (root / name).resolve() != itself
    ][:count]
    if page is not None:
        found = Found(image, hits, len(held), held.root, encoder.name)
        write_text(page, render_found(found))
    print_hits(hits)
    if page is not None:
        logger.info("the page is %s", page)


def open_place(place: Path, encoder: Encoder) -> Embeddings:
    """Return the features of a folder, embedded as far as needed, or those in a file.

    Raises:
        PipelineError: the features are of another encoder, or as ``embed`` and
            ``read_embeddings``.
    """
    if place.is_dir():
        named = f"{place.resolve()}\n{encoder.identity}"
        name = hashlib.sha256(named.encode()).hexdigest()[:32]
        return embed(place, encoder, layout.EMBEDDINGS / f"{name}.npz")
    held = read_embeddings(place)
    if held.encoder != encoder.identity:
        raise RunError(
            f"{place} holds features of another encoder than {encoder.name}; name that one with "
            "--state or --encoder, or embed the folder again"
        )
    return held


def print_hits(hits: list[Hit]) -> None:
    """Print the nearest images, the nearest first."""
    table = Table("", "cosine", "image", box=None, pad_edge=False)
    for number, hit in enumerate(hits, start=1):
        table.add_row(f"{number}", f"{hit.cosine:.3f}", format_terminal(hit.name))
    # As wide as it needs where nobody sees it: names are whole in files and pipes.
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)
