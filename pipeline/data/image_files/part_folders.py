"""Which of a data set's folders are its training and its test part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DataError

TRAIN = "train"
TESTS = ("test", "val")  # the first that is there is the test part
# Names that people give to parts, in small letters without separators.
LIKE_TRAIN = frozenset({"train", "training", "trainset", "trainingset", "traindata"})
LIKE_TEST = frozenset(
    {"test", "testing", "tests", "testset", "testdata", "val", "valid", "validation"}
)


def choose_part_folders(folder: Path, names: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the names of the folders of the training and the test part; None: there is none.

    Args:
        folder: the folder that may hold them.
        names: of the folders in it.

    Raises:
        DataError: a name is near to that of a part, or something else stands beside the parts,
            so that test images could be trained on or images be left out without a word.
    """
    if TRAIN in names:
        beside = [name for name in names if name not in (TRAIN, *TESTS)]
        if beside:
            raise DataError(
                f"{folder}: '{beside[0]}' stands beside train/, where only test/ or val/ may; "
                "rename it or move it away (or rename train/, if it is a class)"
            )
        return TRAIN, next((name for name in TESTS if name in names), None)
    require_no_parts(folder, names)
    return None, None


def require_no_parts(folder: Path, names: Sequence[str]) -> None:
    """Check that folders that count as classes, domains or tasks are not parts by their names.

    Raises:
        DataError: one is called as a test part, or all are called as parts.
    """
    train = [name for name in names if _simplify(name) in LIKE_TRAIN]
    test = [name for name in names if _simplify(name) in LIKE_TEST]
    if test or (train and len(train) == len(names)):
        there = ", ".join(f"'{name}'" for name in [*train, *test])
        raise DataError(
            f"{folder} holds {there}: the parts of a data set are called train/ and test/ (or "
            "val/), and stand in the folder of the data set or of its task; rename them so that "
            "no test image is trained on (or rename the folder, if it is a class)"
        )


def _simplify(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
