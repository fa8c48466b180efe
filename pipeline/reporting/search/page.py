"""The images nearest to one, on one page that needs no network and no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.data.image_files.decode import BadImageError, read_square
from pipeline.data.image_files.file_options import WHITE
from pipeline.errors import DataError
from pipeline.reporting.page.rendering import open_templates
from pipeline.reporting.text_formats import show_controls

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 192  # pixels of a side: twice what a screen shows


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes:
        path: its file.
        name: its path in the folder that was searched.
        cosine: of its features and the query's.
    """

    path: Path
    name: str
    cosine: float


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        query: the image whose neighbours were asked for.
        hits: the nearest images, the nearest first.
        searched: how many images were searched.
        root: their folder.
        encoder: what the encoder is called.
    """

    query: Path
    hits: Sequence[Hit]
    searched: int
    root: str
    encoder: str


def render_found(found: Found) -> str:
    """Return the page as HTML; names in it are shown as they are, whatever they hold."""
    environment = open_templates(TEMPLATES)
    environment.filters["shown"] = show_controls
    return environment.get_template("search.html").render(
        found=found,
        query_thumbnail=draw_thumbnail(found.query),
        hits=[(hit, draw_thumbnail(hit.path)) for hit in found.hits],
    )


def draw_thumbnail(path: Path) -> str | None:
    """Return the central square of an image as a data URI; None if it cannot be read any more."""
    try:
        pixels = read_square(path, THUMBNAIL, WHITE, "bicubic")
    except (BadImageError, DataError):
        return None
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
