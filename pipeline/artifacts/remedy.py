"""What to do about a file of a stage that is missing, damaged or of another run."""

from __future__ import annotations


def name_remedy(command: str) -> str:
    """The commands that help, in words.

    DVC takes a damaged file that it has seen before for a whole one; `cassle clean` removes
    it, from DVC's cache too.

    Args:
        command: what makes the file, without DVC.
    """
    return f"run `{command}` first (or `dvc repro`; after damage, `cassle clean` before that)"
