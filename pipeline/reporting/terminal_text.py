"""Text for the terminal, apart from other formats: this one needs rich."""

from __future__ import annotations

from rich.text import Text

from pipeline.reporting.text_formats import show_controls


def format_terminal(text: str, style: str = "") -> Text:
    """Return a text that rich prints as it is: no terminal escapes, no markup in brackets."""
    return Text(show_controls(text), style=style)
