"""Widths of a terminal table's columns, so that no word in it is broken."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

BORDER = 3  # characters between columns
NARROWEST = 6  # characters of a line that is broken


def fit_columns(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return a width for each column in which its words stay whole.

    The first column's lines stay whole too, where there is room.

    Args:
        columns: the cells of each column, its heading among them; lines end with a line break.
        width: characters of the table, with what stands between the columns.

    Returns:
        The widths; None if the words need more than there is.
    """
    room = width - BORDER * len(columns) - 1
    wanted = [max(cell_len(line) for cell in cells for line in _lines(cell)) for cells in columns]
    longest = [max(cell_len(word) for cell in cells for word in _words(cell)) for cells in columns]
    least = [max(word, min(line, NARROWEST)) for word, line in zip(longest, wanted, strict=True)]
    if wanted[0] + sum(least[1:]) <= room:
        least[0] = wanted[0]
    while sum(wanted) > room:
        # The column that can spare most gives a character.
        spare = [width - fewest for width, fewest in zip(wanted, least, strict=True)]
        if max(spare) == 0:
            return None
        wanted[spare.index(max(spare))] -= 1
    return wanted


def _lines(cell: str) -> list[str]:
    return cell.split("\n")


def _words(cell: str) -> list[str]:
    return cell.split() or [""]
