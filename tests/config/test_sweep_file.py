"""The file of a sweep: its runs, and all that is wrong with them at once."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipeline.commands.sweeps.jobs import Job, plan_jobs
from pipeline.config.published_order import PUBLISHED_ORDER
from pipeline.config.sweep_file import read_sweep
from pipeline.config.sweep_runs import SweepRun, list_runs
from pipeline.errors import ParamsError
from tests.support.params import ROOT, SMALL, write_params


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, SMALL)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/wide.yaml").write_text(
        "# Wider.\nbackbone:\n  small_resnet:\n    widths: [8, 16]\n"
    )
    return tmp_path


def runs_of(text: str) -> list[SweepRun]:
    Path("sweep.yaml").write_text(text)
    return list_runs(read_sweep(Path("sweep.yaml")), "sweep.yaml", Path("params.yaml"))


def problems_of(text: str) -> list[str]:
    with pytest.raises(ParamsError) as refused:
        runs_of(text)
    return str(refused.value).split("\n")


def test_a_grid_has_every_combination_with_every_seed(folder: Path) -> None:
    runs = runs_of("grid: {strategy: [finetune, cassle], distill_weight: [0.5]}\nseeds: [0, 1]")
    assert [run.name for run in runs] == [
        f"strategy={strategy},distill_weight=0.5,seed={seed}"
        for strategy in ("finetune", "cassle")
        for seed in (0, 1)
    ]
    assert runs[0].overrides == ("strategy=finetune", "distill_weight=0.5", "seed=0")


def test_sets_of_a_list_are_taken_as_they_are(folder: Path) -> None:
    runs = runs_of("list:\n- {strategy: finetune}\n- {strategy: cassle, distill_weight: 2.0}\n")
    assert [run.overrides for run in runs] == [
        ("strategy=finetune",),
        ("strategy=cassle", "distill_weight=2.0"),
    ]


def test_a_preset_is_overridden_by_the_grid_and_named(folder: Path) -> None:
    [run] = runs_of("presets: [wide]\ngrid: {backbone.small_resnet.widths: [[4, 4]]}")
    assert run.overrides == ("backbone.small_resnet.widths=[4,4]",)
    assert run.name.startswith("preset=wide,")
    [run] = runs_of("presets: [wide]")
    assert (run.name, run.overrides) == ("preset=wide", ("backbone.small_resnet.widths=[8,16]",))


def test_a_run_that_overrides_nothing_has_a_name_that_dvc_takes(folder: Path) -> None:
    runs = runs_of("list: [{}, {seed: 1}]")
    assert [(run.name, run.overrides) for run in runs] == [
        ("as-it-is", ()),
        ("seed=1", ("seed=1",)),
    ]


def test_all_problems_are_named_at_once_with_how_many_runs_have_them(folder: Path) -> None:
    grid = "grid: {strategy: [finetune, casle], train.epoch: [1], distill_weight: [1.0, -1]}"
    lines = problems_of(f"{grid}\nseeds: [0, 1]")
    assert lines[0].startswith(
        "sweep.yaml: 'epoch' in train is unknown; did you mean 'epochs'? one of: "
    )
    first = "strategy=finetune,train.epoch=1,distill_weight=1.0,seed=0"
    assert lines[0].endswith(f"(in 8 runs, the first {first})")
    assert any("distill_weight" in line and "(in 4 runs" in line for line in lines)
    lines = problems_of("grid: {strategy: [finetune, casle]}\nseeds: [0, 1]")
    assert lines == [
        line
        for line in lines
        if "'casle' is unknown; did you mean 'cassle'?" in line
        and line.endswith("(in 2 runs, the first strategy=casle,seed=0)")
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("grod: {seed: [0]}", "'grod' is unknown; did you mean 'grid'? one of: presets, list, grid, seeds, own_splits, slurm"),
        ("slurm: {partitions: x}", "'partitions' in slurm is unknown; did you mean 'partition'?"),
        ("grid: {seed: 0}", "grid.seed: input should be a valid list, got 0"),
        ("grid: {seed: []}", "grid.seed: list should have at least 1 item"),
        ("seeds: [a]", "seeds.0: input should be a valid integer, got 'a'"),
        ("seeds: [0]\ngrid: {seed: [1]}", "seed is given twice; leave one of them out"),
        ("list: [{strategy: er}]\ngrid: {strategy: [er]}", "strategy is given twice; leave one of them out"),
        ("list: [{train: {epochs: 2}}]\ngrid: {train.epochs: [3]}", "train.epochs is given twice; leave one of them out"),
        ("grid: {train: [{epochs: 2}], train.epochs: [3]}", "train.epochs is given twice; leave one of them out"),
        ("list: [{train: {epochs: 2}, train.epochs: 3}]", "train.epochs is given twice; leave one of them out"),
        ("seeds: [0, 0, 1, 1]", "this run is given twice; leave one out (in 2 runs, the first seed=0)"),
        ("seeds: [0, 0]", "this run is given twice; leave one out (in seed=0)"),
        ("list: [{seed: 1}, {train: {}}]", "train is a section without values, which overrides nothing; give it some, or leave it out"),
        ("list: [{train: {lars: {}, epochs: 1}}]", "train.lars is a section without values"),
        ("grid: {train: [{epochs: 2}, {}]}", "train is a section without values"),
        ("presets: [wode]", "preset: 'wode' is unknown; did you mean 'wide'?"),
        ("seeds: []", "sweep.yaml names no runs; give it presets, list, grid or seeds"),
        ('grid: {data.classes: [["\\ud800", "b"]]}', "line 1: '\\ud800' holds '\\ud800', half of a character"),
        ("- 1", "must hold keys and values, got list"),
        ("grid: {seed: [0], train.epochs.x: [1]}", "train.epochs is no section, and 'train.epochs.x' is in it"),
        (f"seeds: {list(range(101))}\ngrid: {{train.epochs: {list(range(100))}}}", "it has 10100 runs, expected at most 10000; split it"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(folder: Path, text: str, problem: str) -> None:
    [line] = problems_of(text)
    assert line.startswith("sweep.yaml")
    assert problem in line


@pytest.mark.parametrize(
    ("text", "name", "first"),
    [
        ("list: [{seed: 1, strategy: cassle}, {strategy: cassle, seed: 1}]", "strategy=cassle,seed=1", "seed=1,strategy=cassle"),
        ("list: [{}, {seed: 0}]", "seed=0", "as-it-is"),
        ("grid: {distill_weight: [1, 1.0]}", "distill_weight=1.0", "distill_weight=1"),
        ("presets: [wide]\nlist: [{}, {backbone.small_resnet.widths: [8, 16]}]", "preset=wide,backbone.small_resnet.widths=8,16-6c1ef1", "preset=wide"),
    ],
)  # fmt: skip
def test_a_run_that_is_given_twice_in_two_ways_is_refused(
    folder: Path, text: str, name: str, first: str
) -> None:
    assert problems_of(text) == [
        f"sweep.yaml: this run is given twice, also as {first}; leave one out (in {name})"
    ]


def test_a_missing_file_is_refused(folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml is missing; name the file of a sweep"):
        read_sweep(Path("none.yaml"))


def test_runs_that_begin_alike_wait_for_one_training_of_all_they_share(folder: Path) -> None:
    runs = runs_of("grid: {strategy: [finetune, cassle]}\nseeds: [0, 1]")
    jobs = plan_jobs(runs, "c")
    first, later = jobs[:2], jobs[2:]
    assert {job.target for job in first} == {"train_first"}
    assert [job.name for job in later] == [run.name for run in runs]
    by_seed = {run.name: run.overrides[-1] for run in runs}
    waits = {(by_seed[job.name], job.after) for job in later}
    assert len(waits) == 2, "one for each seed"
    assert {job.name for job in first} == {after for _, after in waits}


def test_runs_that_only_evaluate_in_other_ways_share_all_tasks(folder: Path) -> None:
    jobs = plan_jobs(runs_of("grid: {evaluation.knn.k: [5, 10]}"), "c")
    assert [job.target for job in jobs] == ["train@3", None, None]


def test_runs_that_measure_while_they_train_in_other_ways_share_no_training(folder: Path) -> None:
    jobs = plan_jobs(runs_of("grid: {evaluation.every: [null, 1, 2]}"), "c")
    assert [job.target for job in jobs] == [None, None, None]


def test_a_run_that_begins_like_no_other_waits_for_nothing(folder: Path) -> None:
    jobs = plan_jobs(runs_of("list: [{seed: 0}, {seed: 1}, {split_seed: 1}, {num_tasks: 2}]"), "c")
    assert jobs == [
        Job(name, (name,), "c") for name in ("seed=0", "seed=1", "split_seed=1", "num_tasks=2")
    ]


def test_without_params_a_sweep_says_what_is_missing(folder: Path) -> None:
    Path("params.yaml").unlink()
    assert problems_of("seeds: [0, 1]") == [
        "params.yaml is missing; run this in the project's root, or name the file with --params "
        "(`cassle new` makes a project)"
    ]


def test_each_seed_can_have_a_split_of_its_own(folder: Path) -> None:
    runs = runs_of("seeds: [0, 3]\nown_splits: true")
    assert [run.overrides for run in runs] == [
        ("seed=0", "split_seed=0"),
        ("seed=3", "split_seed=3"),
    ]
    assert problems_of("grid: {split_seed: [1]}\nseeds: [0]\nown_splits: true") == [
        "sweep.yaml: split_seed is given twice; leave one of them out"
    ]


@pytest.mark.pipeline
@pytest.mark.parametrize(
    "path", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_runs_of_the_sweeps_that_come_with_the_project_are_valid(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    runs = list_runs(read_sweep(path), str(path), Path("params.yaml"))
    assert len(runs) == len({run.trainings for run in runs})
    assert f"cassle sweep sweeps/{path.name}" in path.read_text()


def test_the_sweep_of_the_papers_table_has_its_objectives_and_its_order_of_classes() -> None:
    sweep = read_sweep(ROOT / "sweeps/cifar100.yaml")
    assert sweep.grid["class_order"] == [list(PUBLISHED_ORDER)]
    with (ROOT / "docs/published.csv").open(encoding="utf-8") as file:
        published = [row["preset"] for row in csv.DictReader(file) if row["strategy"] == "cassle"]
    table = {name for name in published if name.startswith("cifar100_") and "data" not in name}
    assert set(sweep.presets) == table
