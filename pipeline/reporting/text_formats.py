"""Text from people, such as names of classes and folders, as each format of output needs it.

Of HTML the page's templates take care, of LaTeX tabulate, of the terminal ``terminal_text``.
"""

from __future__ import annotations

import json
import re
import unicodedata

# Control and format characters, halves of characters, line and paragraph separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # parts of words and of emoji
# Underscores in words and brackets that begin no link mean nothing.
IN_MARKDOWN = re.compile(r"[\\`*|~#]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
IN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def show_controls(text: str) -> str:
    """Return a text of one line, with characters that are not seen written as in JSON.

    Line breaks, terminal escapes, changes of direction and bytes that are not UTF-8 are such.
    """
    return "".join(
        json.dumps(character)[1:-1]
        if unicodedata.category(character) in HIDDEN and character not in JOINERS
        else character
        for character in text
    )


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a line, a heading or a cell of a table."""
    shown = "".join(IN_HTML.get(character, character) for character in show_controls(text))
    return IN_MARKDOWN.sub(lambda found: f"\\{found[0]}", shown)


def escape_warning(text: str) -> str:
    """Return a text of ours in Markdown, where a command between backticks stays code."""
    parts = text.rsplit("`", 2)
    if len(parts) != 3:
        return escape_markdown(text)
    before, command, after = parts
    return f"{escape_markdown(before)}`{command}`{escape_markdown(after)}"


def escape_plot(text: str) -> str:
    """Return a text that matplotlib draws as it is, dollar signs too."""
    return show_controls(text).replace("$", r"\$")


def format_json(value: object) -> str:
    """Return a value as indented JSON for a block of code, without hidden characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(show_controls(line) for line in text.split("\n"))
