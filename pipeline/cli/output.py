"""Standard output and error for any terminal: other encodings than UTF-8, and hidden characters."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys

from pipeline.reporting.text_formats import show_lines

PLAIN = {"±": "+-", "−": "-", "–": "-", "·": "-", "…": "...", "×": "x", "†": "+", "→": "->"}
HANDLER = "cassle.plain"


def set_up_output() -> None:
    """Let standard output and error write any character, as well as their encoding can."""
    codecs.register_error(HANDLER, _write_plainly)
    # Closed by who called: else the next file that is opened would take the place of one.
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(os.devnull, "w"))
    sys.stderr = sys.stderr or io.TextIOWrapper(io.FileIO(os.devnull, "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


class VisibleFormatter(logging.Formatter):
    """Formats messages without hidden characters: names of files and classes may have some."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a message."""
        return show_lines(super().format(record))


def _write_plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in unknown), error.end
