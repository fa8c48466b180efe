"""Pages made of templates: one file that needs no network and no script, in one style."""

from __future__ import annotations

from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"  # with the head and the style of all pages


def open_templates(*folders: Path) -> jinja2.Environment:
    """Return what renders a page, whose values are escaped and all have to be given.

    Args:
        folders: of the page's own templates, beside those that all pages share.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
