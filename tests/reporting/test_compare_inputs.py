"""What ``cassle compare`` makes of odd files, names and terminals, and of DVC's own notes."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from pipeline.files.sealed_json import SEAL, write_sealed
from tests.reporting.test_compare import sweep
from tests.reporting.test_compare_gaps import write_gapped
from tests.support.fuzzing import count_examples
from tests.support.params import ROOT
from tests.support.results_repository import Repository


def begin(repository: Repository, name: str, **held: object) -> None:
    """Write what DVC says of an experiment that it has begun elsewhere than in the workspace."""
    folder = repository.root / f".dvc/tmp/exps/run/{name}"
    folder.mkdir(parents=True)
    pid = held.pop("pid", None)
    if pid is not None:
        (folder / f"{name}.json").write_text(json.dumps({"pid": pid}))
    head = repository.git("rev-parse", "HEAD")
    described = {"name": name, "baseline_rev": head, "location": "dvc-task", "status": 2, **held}
    (folder / f"{name}.run").write_text(json.dumps(described))


def end_process() -> int:
    """Return the number of a process that is no longer there."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_experiments_that_have_ended_are_not_called_running(repository: Repository) -> None:
    sweep(repository)
    here, gone = str(repository.root), str(repository.root / "gone")
    # DVC leaves the status of these as it was: preparing.
    begin(repository, "cassle-0", status=1, location="tempdir", root_dir=gone)
    begin(repository, "cassle-1", status=1, location="workspace", root_dir=here)
    begin(repository, "removed", status=1, location="tempdir", root_dir=gone)
    begin(repository, "removed-too", status=1, location="workspace", root_dir=here)
    assert "Experiments" not in repository.compare()


def test_experiments_whose_queue_worker_was_killed_are_said(repository: Repository) -> None:
    sweep(repository)
    here = str(repository.root)
    begin(repository, "busy", root_dir=here, pid=os.getpid())
    begin(repository, "apart", root_dir=here, location="tempdir", status=1)
    begin(repository, "killed", root_dir=here, pid=end_process())
    begin(repository, "left", root_dir=here, pid=end_process(), status=3)
    begin(repository, "odd", root_dir=here, pid="x", status=[])
    out = " ".join(repository.compare().split())
    assert "Experiments still running, or cut off: 2 (apart, busy)." in out
    assert (
        "Experiments cut off with their queue worker, to be queued again: 2 (killed, left)." in out
    )


ODD: tuple[object, ...] = (None, True, 1, -1.5, "", "x", [], [1], {}, {"x": [None]}, 10**400)


def keys_of(value: dict, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    own = [(*prefix, key) for key in value]
    return own + [
        found
        for key, held in value.items()
        if isinstance(held, dict)
        for found in keys_of(held, (*prefix, key))
    ]


def test_a_sealed_run_of_odd_types_is_read_or_refused(repository: Repository) -> None:
    write_gapped(repository, 80.0, [[50.0] * 2] * 3, seed=0)
    path = repository.root / "reports/run.json"
    whole = {key: value for key, value in json.loads(path.read_text()).items() if key != SEAL}
    whole["tasks"] = ["a", "b"]
    cases = [(keys, ODD[number % len(ODD)]) for number, keys in enumerate(keys_of(whole))]
    for odd in ODD:
        cases += [((key,), odd) for key in ("params", "data", "splits", "files", "tasks", "format")]
        named = ("dataset", "scenario", "num_tasks", "method", "strategy", "seed", "data")
        cases += [(("params", key), odd) for key in named]
    for keys, odd in random.Random(0).sample(cases, count_examples(50, len(cases))):
        held = copy.deepcopy(whole)
        section = held
        for key in keys[:-1]:
            section = section[key]
        section[keys[-1]] = odd
        write_sealed(path, held)
        code, _, err = repository.cassle("compare")
        assert code in (0, 2), (keys, odd, err)
        assert "Traceback" not in err


def test_brackets_in_an_output_s_name_are_no_markup(repository: Repository) -> None:
    repository.write(80)
    name = str(repository.root / "[/x].md")
    assert "written:" in repository.compare("--output", name)
    assert Path(name).is_file()


def test_a_terminal_that_is_not_utf_8_shows_what_it_can(repository: Repository) -> None:
    sweep(repository)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "compare"],
        cwd=repository.root,
        env=environment,
        capture_output=True,
        check=True,
    )
    out = done.stdout.decode("ascii")
    assert "82.54 +- 0.33" in out
    assert not done.stderr


def test_names_of_tasks_stand_in_the_notes(repository: Repository) -> None:
    write_gapped(repository, 90.0, [[50.0, 50.0], [60.0, None], [70.0, 70.0]], strategy="cassle")
    path = repository.root / "reports/run.json"
    held = {key: value for key, value in json.loads(path.read_text()).items() if key != SEAL}
    write_sealed(path, {**held, "tasks": ["noto", "twe\x1b[31mmoji"]})
    repository.keep("gapped")
    write_gapped(repository, 80.0, [[50.0] * 2] * 3, strategy="finetune")
    repository.keep("whole")
    out = repository.compare()
    assert "\x1b" not in out
    assert "state after task 1 on task 2 (twe\\u001b[31mmoji)" in " ".join(out.split())


def test_a_folder_of_images_gives_the_table_its_name(repository: Repository) -> None:
    repository.write(80, dataset="image_folder", data__root="pictures/my emoji")
    assert "my emoji, class-incremental, 5 tasks" in repository.compare()
