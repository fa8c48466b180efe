"""``cassle compare`` on runs whose accuracies were not all measured."""

from __future__ import annotations

import copy
import hashlib

import pytest

from pipeline.files.sealed_json import write_sealed
from pipeline.reporting.comparing.runs import TABLES
from pipeline.reporting.comparing.tables_reading import read_matrix
from tests.reporting.test_gaps import MATRIX
from tests.support.params import change
from tests.support.results_repository import IDENTITY, PARAMS, Repository


def write_gapped(repository: Repository, accuracy: float, matrix: list, **params: object) -> None:
    """Write a run of this version, with digests of its tables."""
    repository.write(accuracy, num_tasks=len(matrix[0]), **params)
    reports = repository.root / "reports"
    cells = [
        f"{after},{task},{value}"
        for after, row in enumerate(matrix)
        for task, value in enumerate(row, start=1)
        if value is not None
    ]
    (reports / "accuracy_matrix.csv").write_text("\n".join(["after_task,task,accuracy", *cells]))
    given = copy.deepcopy(PARAMS)
    change(given, {"num_tasks": len(matrix[0]), **params})
    files = {
        name: hashlib.sha256((reports / name).read_bytes()).hexdigest()
        for name in TABLES
        if (reports / name).is_file()
    }
    write_sealed(reports / "run.json", {"format": 2, "params": given, **IDENTITY, "files": files})


def test_a_run_with_gaps_is_read_and_the_gaps_are_said(repository: Repository) -> None:
    write_gapped(repository, 90.0, MATRIX, strategy="cassle", seed=0)
    repository.keep("gapped")
    write_gapped(repository, 80.0, [[50.0] * 4] * 5, strategy="finetune", seed=0)
    repository.keep("whole")
    said = " ".join(repository.compare().split())
    assert "Not the same accuracies were measured in all runs:" in said
    assert (
        "What a run lacks and another one has: gapped (state after task 1 on task 3 and task 4, "
        "state after task 2 on task 4, state after task 3 on task 1, state after task 4 on task 1)."
    ) in said
    assert "+10.00" in said


def test_runs_with_the_same_gaps_need_no_remark(repository: Repository) -> None:
    for seed, strategy in enumerate(["cassle", "finetune"]):
        write_gapped(repository, 90.0, MATRIX, strategy=strategy, seed=seed)
        repository.keep(strategy)
    assert "Not the same accuracies" not in repository.compare()


def test_tasks_learnt_at_once_lack_nothing_in_between(repository: Repository) -> None:
    write_gapped(repository, 90.0, [[50.0] * 2] * 3, strategy="cassle", seed=0)
    repository.keep("stream")
    repository.write(90.0, num_tasks=2, strategy="offline", seed=0)
    path = repository.root / "reports/accuracy_matrix.csv"
    rows = [row for row in path.read_text().splitlines() if not row.startswith("1,")]
    path.write_text("\n".join(rows))
    assert "Not the same accuracies" not in repository.compare()


def test_the_same_run_with_and_without_gaps_counts_once(repository: Repository) -> None:
    write_gapped(repository, 90.0, MATRIX, seed=0)
    repository.keep("gapped")
    filled = [[60.0 if value is None else value for value in row] for row in MATRIX]
    write_gapped(repository, 90.0, filled, seed=0)
    repository.keep("filled")
    assert "The same run, counted once: " in " ".join(repository.compare().split())
    write_gapped(repository, 91.0, filled, seed=0)
    repository.keep("other")
    assert "average_accuracy 9" in repository.refuses()
    assert "(not the same accuracies were measured)" in repository.refuses("gapped", "other")
    write_gapped(repository, 90.0, [[1.0] * 4, *MATRIX[1:]], seed=0)
    repository.keep("wrong")
    assert "the accuracy matrix" in repository.refuses("gapped", "wrong")


def read(cells: list[str], *, at_once: bool = False, tasks: int = 0) -> list:
    return read_matrix("\n".join(["after_task,task,accuracy", *cells]).encode(), at_once, tasks)


def test_a_state_of_which_nothing_was_measured_is_a_row_of_gaps() -> None:
    assert read(["0,1,5.0", "1,1,6.0", "2,2,7.0"]) == [[5, None], [6, None], [None, 7]]
    assert read(["0,1,5.0", "2,1,6.0", "2,2,7.0"]) == [[5, None], [None, None], [6, 7]]
    assert read(["1,1,5.0", "2,2,6.0"]) == [[None, None], [5, None], [None, 6]]
    # Names of tasks say how many there are where the table does not.
    assert read(["0,1,5.0", "1,1,6.0"], tasks=2) == [[5, None], [6, None], [None, None]]
    # Tasks that were learnt at once have no rows in between.
    assert read(["0,1,5.0", "2,1,6.0", "2,2,7.0"], at_once=True) == [[5, None], [6, 7]]


@pytest.mark.parametrize(
    ("cells", "tasks", "message"),
    [
        (["0,0,5.0", "1,1,5.0"], 0, "is no matrix"),
        (["-1,1,5.0", "1,1,5.0"], 0, "is no matrix"),
        (["0,1,5.0", "3,3,5.0"], 2, "is no matrix"),
        (["0,1,5.0", "1000000000,1,5.0"], 0, "is no matrix"),
        (["0,1,5.0", "1,1,nan"], 0, "holds nan"),
        (["0,1,5.0", "1,1,"], 0, "has the row"),
        ([], 0, "has no rows"),
    ],
)
def test_rows_and_numbers_have_to_be_right(cells: list[str], tasks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(cells, tasks=tasks)


def test_a_run_with_a_state_of_which_nothing_was_measured_is_compared(
    repository: Repository,
) -> None:
    nothing = [MATRIX[0], [None] * 4, *MATRIX[2:]]
    write_gapped(repository, 90.0, nothing, strategy="cassle", seed=0)
    repository.keep("gapped")
    write_gapped(repository, 80.0, MATRIX, strategy="finetune", seed=0)
    repository.keep("other")
    said = " ".join(repository.compare().split())
    assert "gapped (state after task 1 on task 1 and task 2)" in said
    assert "+10.00" in said


def test_an_older_version_s_table_with_gaps_is_damaged(repository: Repository) -> None:
    repository.write(80.0)
    path = repository.root / "reports/accuracy_matrix.csv"
    path.write_text("\n".join(row for row in path.read_text().splitlines() if row != "1,2,50.0"))
    assert "accuracy_matrix.csv lacks accuracies" in repository.refuses()
