"""Text from people, such as names of classes and folders, as each format of output needs it.

Of HTML the page's templates take care, of LaTeX tabulate, of the terminal ``terminal_text``.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata

# Control and format characters, halves of characters, line and paragraph separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
JOINERS = "\u200c\u200d"  # parts of words and of emoji
# Underscores in words and brackets that begin no link mean nothing.
IN_MARKDOWN = re.compile(r"[\\`*|~#]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")


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


def show_lines(text: str) -> str:
    """Return a text of one or more lines without hidden characters."""
    return "\n".join(show_controls(line) for line in text.split("\n"))


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a line, a heading or a cell of a table."""
    shown = html.escape(show_controls(text), quote=False)
    return IN_MARKDOWN.sub(lambda found: f"\\{found[0]}", shown)


def escape_warning(text: str) -> str:
    """Return a text of ours in Markdown, where a command between backticks stays code."""
    before, command, after = split_command(text)
    code = f"`{command}`" if command else ""
    return f"{escape_markdown(before)}{code}{escape_markdown(after)}"


def split_command(text: str) -> tuple[str, str, str]:
    """Return what stands before the last command between backticks, the command, and the rest.

    Without one, all of it stands before.
    """
    parts = text.rsplit("`", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (text, "", "")


def escape_plot(text: str) -> str:
    """Return a text that matplotlib draws as it is, dollar signs too."""
    return show_controls(text).replace("$", r"\$")


def format_json(value: object) -> str:
    """Return a value as indented JSON for a block of code, without hidden characters."""
    return show_lines(json.dumps(value, indent=2, ensure_ascii=False))
