"""``cassle compare`` on hand-made experiments: what is put together and what is not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from pipeline.commands.compare import DEFAULT_METRICS
from pipeline.files.csv_tables import read_csv
from pipeline.reporting.comparing import comparison_terminal
from pipeline.reporting.comparing.comparison import compare_runs
from pipeline.reporting.comparing.comparison_terminal import print_comparison
from pipeline.reporting.comparing.revisions import list_experiments
from pipeline.reporting.comparing.run_groups import group_runs
from pipeline.reporting.comparing.runs import Run, read_runs
from tests.support.params import ROOT
from tests.support.results_repository import COST, Repository

SWEEP = {"finetune": (80.80, 80.66, 80.24), "cassle": (82.26, 82.46, 82.90)}


def sweep(repository: Repository, seeds: int = 3, **changes: object) -> None:
    for strategy, values in SWEEP.items():
        for seed, value in enumerate(values[:seeds]):
            repository.experiment(
                f"{strategy}-{seed}", value, strategy=strategy, seed=seed, **changes
            )


def rows(text: str, *names: str) -> list[list[str]]:
    """The cells of the printed rows that begin with the names."""
    lines = [line.strip().split("   ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return [line for line in cells if line[: len(names)] == list(names)]


def test_means_deviations_and_paired_differences_by_hand(repository: Repository) -> None:
    sweep(repository)
    out = repository.compare()
    # Deviations: sqrt(((0.2333)² + (0.0933)² + (0.3267)²) / 2) = 0.2914; cassle's likewise.
    assert rows(out, "simclr", "finetune") == [
        [
            "simclr",
            "finetune",
            "3",
            "80.57 ± 0.29",
            "2.00 ± 0.00",
            "5.00 ± 0.00",
            "100",
            "1.50",
            "2.00",
        ]
    ]
    means, difference = rows(out, "simclr", "cassle")
    assert means[2:4] == ["3", "82.54 ± 0.33"]
    # Differences 1.46, 1.80, 2.66: mean 1.9733, deviation 0.61849, half width
    # 4.30265 * 0.61849 / sqrt(3) = 1.53642.
    assert difference == [
        "simclr",
        "cassle",
        "3",
        "+1.97 [+0.44, +3.51] 3/3",
        "0.00 [0.00, 0.00] 0/3",
        "0.00 [0.00, 0.00] 0/3",
    ]
    assert "difference to finetune" in out
    assert "fashion_mnist, class-incremental, 5 tasks" in out


def test_less_forgetting_is_a_win(repository: Repository) -> None:
    for seed, (without, with_) in enumerate([(2.0, 1.0), (1.0, 3.0)]):
        repository.experiment(
            f"f{seed}", 80, strategy="finetune", seed=seed, figures={"forgetting": without}
        )
        repository.experiment(
            f"c{seed}", 80, strategy="cassle", seed=seed, figures={"forgetting": with_}
        )
    _, difference = rows(repository.compare("--metric", "forgetting"), "simclr", "cassle")
    assert difference[3].startswith("+0.50 [−")
    assert difference[3].endswith(" 1/2")


def test_one_seed_has_dashes_and_no_zeros(repository: Repository) -> None:
    sweep(repository, seeds=1)
    means, difference = rows(repository.compare("--metric", "average_accuracy"), "simclr", "cassle")
    assert means[3] == "82.26 ± –"
    assert difference[2:] == ["1", "+1.46 [–] 1/1"]


def test_only_the_seeds_that_both_have_are_compared(repository: Repository) -> None:
    sweep(repository)
    repository.experiment("more", 90.0, strategy="cassle", seed=7)
    repository.experiment("other", 10.0, strategy="finetune", seed=8)
    means, difference = rows(repository.compare(), "simclr", "cassle")
    assert means[2] == "4"
    assert difference[2:4] == ["3 of 4", "+1.97 [+0.44, +3.51] 3/3"]


def test_no_shared_seed_is_no_difference(repository: Repository) -> None:
    repository.experiment("f", 80, strategy="finetune", seed=0)
    repository.experiment("c", 82, strategy="cassle", seed=1)
    _, difference = rows(repository.compare("--metric", "average_accuracy"), "simclr", "cassle")
    assert difference[2:] == ["0 of 1", "–"]


def test_other_splits_stand_in_a_table_of_their_own(repository: Repository) -> None:
    sweep(repository)
    repository.experiment(
        "elsewhere", 99.0, strategy="cassle", seed=3, split_seed=1, identity={"splits": "4" * 64}
    )
    out = repository.compare()
    assert "5 tasks; split_seed=0: difference to finetune" in out
    assert "5 tasks; split_seed=1\n" in "\n".join(line.rstrip() for line in out.splitlines())
    assert "never averaged together" in " ".join(out.split())
    (first, _, second) = rows(out, "simclr", "cassle")
    assert (first[2], second[2:4]) == ("3", ["1", "99.00 ± –"])
    assert "No difference for simclr, cassle in 'fashion_mnist" in out


def test_seeds_that_each_have_a_split_are_pairs_in_one_table(repository: Repository) -> None:
    for strategy, values in SWEEP.items():
        for seed, value in enumerate(values):
            repository.experiment(
                f"{strategy}-{seed}",
                value,
                strategy=strategy,
                seed=seed,
                split_seed=10 + seed,
                identity={"splits": str(seed) * 64},
            )
    out = repository.compare("--no-workspace")
    assert "5 tasks; each seed on a split of its own" in out
    together = [line[2:4] for line in rows(out, "simclr", "finetune")]
    # One seed on a second split, and it is no longer one for each.
    repository.experiment(
        "again", 80.0, strategy="finetune", seed=0, split_seed=99, identity={"splits": "f" * 64}
    )
    apart = repository.compare("--no-workspace")
    assert "each seed on a split of its own" not in apart
    assert "split_seed=99" in apart
    assert together[0][0] == "3"


def test_other_images_under_the_same_params_stand_apart(repository: Repository) -> None:
    sweep(repository, seeds=1)
    images = {"train": "9" * 64, "test": "2" * 64}
    repository.experiment("elsewhere", 99.0, strategy="cassle", seed=1, identity={"data": images})
    out = repository.compare()
    assert out.count("; images ") == 4  # two tables, the differences, a note
    assert len(rows(out, "simclr", "cassle")) == 3
    assert " 2 " not in "".join(rows(out, "simclr", "cassle")[0])


def test_other_shared_params_are_never_averaged(repository: Repository) -> None:
    sweep(repository)
    repository.experiment("longer", 99.0, strategy="cassle", seed=4, train__epochs=90)
    out = repository.compare()
    assert "train.epochs=60" in out
    assert "train.epochs=90" in out
    assert [row[2] for row in rows(out, "simclr", "cassle")] == ["3", "3", "1"]


def test_options_of_the_strategy_have_rows_beside_the_baseline(repository: Repository) -> None:
    sweep(repository)
    for seed in range(3):
        repository.experiment(
            f"half-{seed}", 81.5, strategy="cassle", seed=seed, distill_weight=0.5
        )
    out = repository.compare("--metric", "average_accuracy")
    half, half_difference = rows(out, "simclr", "cassle (distill_weight=0.5)")
    assert half[2:4] == ["3", "81.50 ± 0.00"]
    assert half_difference[2] == "3"
    assert len(rows(out, "simclr", "cassle (distill_weight=1.0)")) == 2
    assert len(rows(out, "simclr", "finetune")) == 1


def test_params_that_a_run_does_not_use_do_not_part_it(repository: Repository) -> None:
    changes = [
        {"distill_weight": 0.5},
        {"strategies__cassle__predictor_hidden": 7},
        {"methods__byol__momentum": 0.5},
        {"train__lars__clip": False},
        {"data__root": "elsewhere"},
    ]
    for seed, change in enumerate(changes):
        repository.experiment(f"f{seed}", 80.0, strategy="finetune", seed=seed, **change)
    assert rows(repository.compare(), "simclr", "finetune")[0][2] == "5"


def test_options_of_each_strategy_of_a_composition_count(repository: Repository) -> None:
    repository.experiment("a", 80, strategy="cassle+er", seed=0)
    repository.experiment("b", 81, strategy="cassle+er", seed=1, strategies__er__memory_size=9)
    repository.experiment("c", 82, strategy="cassle+er", seed=2, distill_weight=3.0)
    repository.experiment("d", 83, strategy="cassle+er", seed=3, strategies__der__memory_size=9)
    out = repository.compare()
    found = [row for row in rows(out, "simclr") if row[1].startswith("cassle+er (")]
    assert sorted(row[1:3] for row in found) == [
        ["cassle+er (distill_weight=1.0, er.memory_size=500)", "2"],
        ["cassle+er (distill_weight=1.0, er.memory_size=9)", "1"],
        ["cassle+er (distill_weight=3.0, er.memory_size=500)", "1"],
    ]


def test_methods_are_compared_with_their_own_baseline(repository: Repository) -> None:
    sweep(repository)
    repository.experiment("b", 70.0, method="byol", strategy="cassle", seed=0)
    repository.experiment("s", 60.0, strategy="finetune", seed=0, methods__simclr__temperature=0.5)
    out = repository.compare()
    assert "No difference for byol, cassle: no run of finetune has the same method" in " ".join(
        out.split()
    )
    assert rows(out, "simclr (temperature=0.2)", "cassle")[1][3] == "+1.97 [+0.44, +3.51] 3/3"
    assert [row[0] for row in rows(out) if len(row) > 6][1:] == [
        "simclr (temperature=0.2)", "simclr (temperature=0.2)", "simclr (temperature=0.5)", "byol", "–",
    ]  # fmt: skip


def test_a_chosen_baseline_and_one_that_is_not_there(repository: Repository) -> None:
    sweep(repository)
    out = repository.compare("--baseline", "cassle", "--metric", "average_accuracy")
    assert rows(out, "simclr", "finetune")[1][3] == "−1.97 [−3.51, −0.44] 0/3"
    assert "did you mean 'finetune'? one of: finetune, cassle" in repository.refuses(
        "--baseline", "fintune"
    )


def test_without_fine_tuning_there_are_means_and_a_note(repository: Repository) -> None:
    repository.experiment("c", 82, strategy="cassle")
    repository.experiment("e", 81, strategy="ewc")
    out = repository.compare()
    assert "difference to" not in out
    assert "No differences: no run has the strategy finetune" in out


def test_a_baseline_with_several_options_is_not_guessed(repository: Repository) -> None:
    repository.experiment("a", 80, strategy="cassle")
    repository.experiment("b", 81, strategy="cassle", distill_weight=2.0)
    repository.experiment("f", 79, strategy="finetune")
    out = " ".join(repository.compare("--baseline", "cassle").split())
    assert "cassle was run with several options (distill_weight=1.0; distill_weight=2.0)" in out
    assert "difference to" not in out


def test_the_same_run_twice_counts_once(repository: Repository) -> None:
    sweep(repository)
    repository.git(
        "branch",
        "kept",
        repository.git("rev-parse", f"refs/exps/{'/'.join(halves(repository))}/cassle-0"),
    )
    repository.write(82.26, strategy="cassle", seed=0, cost=COST | {"training_seconds": 900.0})
    out = repository.compare("--branches")
    assert rows(out, "simclr", "cassle")[0][2:4] == ["3", "82.54 ± 0.33"]
    assert "The same run, counted once: workspace, cassle-0, kept." in out


def halves(repository: Repository) -> tuple[str, str]:
    head = repository.git("rev-parse", "HEAD")
    return head[:2], head[2:]


def test_the_same_run_with_other_figures_is_refused(repository: Repository) -> None:
    sweep(repository)
    repository.write(82.25, strategy="cassle", seed=0)
    message = repository.refuses()
    assert (
        "workspace and cassle-0 are the same run (simclr, cassle, seed 0) with other metrics: average_accuracy 82.25 and 82.26"
        in message
    )
    assert "--no-workspace" in message
    assert "82.54 ± 0.33" in repository.compare("--no-workspace")


def test_accuracies_that_differ_under_the_same_figures_are_refused(repository: Repository) -> None:
    repository.experiment("a", 80)
    repository.write(80)
    path = Path("reports/accuracy_matrix.csv")
    path.write_text(path.read_text().replace("0,1,50.0", "0,1,49.0"))
    assert "with other metrics: the accuracy matrix" in repository.refuses()


def test_undefined_figures_are_dashes_and_not_zeros(repository: Repository) -> None:
    sweep(repository)
    nothing = {"forgetting": None, "forward_transfer": None}
    for seed in range(2):
        repository.experiment(
            f"o{seed}", 85.0 + seed, strategy="offline", seed=seed, figures=nothing
        )
    means, difference = rows(repository.compare(), "simclr", "offline")
    assert means[2:6] == ["2", "85.50 ± 0.71", "–", "–"]
    assert difference[2] == "2 of 3"
    assert difference[4:] == ["–", "–"]


def test_a_figure_that_some_runs_lack_says_of_how_many_it_is(repository: Repository) -> None:
    repository.experiment("a", 80, seed=0, figures={"plasticity": 3.0})
    repository.experiment("b", 81, seed=1)
    out = repository.compare("--metric", "plasticity")
    assert rows(out, "simclr", "cassle")[0][3] == "3.00 ± – (n = 1)"
    assert "Made before there was a plasticity: b." in out


def test_figures_are_chosen_by_name(repository: Repository) -> None:
    figures = {"cka": 0.98765, "headline": "linear"}
    repository.experiment("a", 80, figures=figures)
    out = repository.compare("--metric", "cka")
    assert rows(out, "simclr", "cassle")[0][3] == "0.9877 ± –"
    assert "A (%)" not in out
    everything = repository.compare("--metric", "all")
    assert "A (%)" in everything
    assert "CKA" in everything
    assert "headline" not in everything
    assert "did you mean 'cka'? one of: average_accuracy," in repository.refuses("--metric", "ckka")
    assert "'headline' is no number" in repository.refuses("--metric", "headline")


def test_a_metric_without_a_better_direction_has_no_wins(repository: Repository) -> None:
    for name in ("finetune", "cassle"):
        repository.experiment(name, 80, strategy=name, figures={"cka": 0.9})
    _, difference = rows(repository.compare("--metric", "cka"), "simclr", "cassle")
    assert difference[3] == "0.0000 [–]"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "[1]", "true"])
def test_figures_that_are_no_numbers_are_never_averaged(repository: Repository, value: str) -> None:
    sweep(repository, seeds=1)
    repository.write(80, strategy="cassle", seed=1)
    path = Path("reports/metrics.json")
    path.write_text(path.read_text().replace("2.0", value))
    repository.keep("broken")
    out = repository.compare()
    assert rows(out, "simclr", "cassle")[0][2] == "1"
    assert "Skipped: broken: reports/ cannot be read (forgetting in metrics.json is" in " ".join(
        out.split()
    )
    assert "error: broken: reports/ cannot be read" in repository.refuses("broken")


def test_experiments_without_results_are_named(repository: Repository) -> None:
    sweep(repository)
    (repository.root / "note").write_text("nothing under reports/")
    repository.keep("empty")
    head = repository.git("rev-parse", "HEAD")
    for state, name in (("failed", "broken-hat"), ("stash", "waiting-cat")):
        message = f"commit: dvc-exp:{head}:{head}:{name}"
        repository.git(
            "update-ref", "--create-reflog", "-m", message, f"refs/exps/celery/{state}", head
        )
    repository.git("update-ref", "refs/exps/exec/EXEC_HEAD", head)
    for name, status in {"busy-dog": 2, "broken-hat": 4}.items():
        path = repository.root / f".dvc/tmp/exps/run/{name}/{name}.run"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"name": name, "baseline_rev": head, "status": status}))
    path.with_name("half.run").write_text('{"name": ')
    out = repository.compare()
    assert "Skipped, without results: 1 (empty)." in out
    assert "Experiments that failed: 1 (broken-hat)." in out
    assert "Experiments still queued: 1 (waiting-cat)." in out
    assert "Experiments still running, or cut off: 1 (busy-dog)." in out
    assert "EXEC" not in out
    assert "82.54 ± 0.33" in out


def test_results_of_an_older_version_are_not_averaged(repository: Repository) -> None:
    sweep(repository)
    repository.write(99, strategy="cassle", seed=5)
    Path("reports/run.json").unlink()
    repository.keep("old")
    out = repository.compare()
    assert "82.54 ± 0.33" in out
    assert (
        "no reports/run.json in old, whose results an older version made; run `dvc repro` there"
        in " ".join(out.split())
    )
    assert "error: no reports/run.json in old" in repository.refuses("old")


def test_another_format_is_refused(repository: Repository) -> None:
    repository.experiment("new", 80, identity={"format": 3})
    assert "run.json has format 3, expected 2" in repository.refuses("new")
    assert "run.json has format 3, expected 2" in repository.refuses()


def test_the_params_are_those_of_the_run_and_not_of_params_yaml(repository: Repository) -> None:
    repository.write(80, strategy="ewc", seed=0)
    Path("params.yaml").write_text("strategy: cassle\n")
    assert len(rows(repository.compare(), "simclr", "ewc")) == 1


def test_nothing_to_compare_says_what_to_do(repository: Repository) -> None:
    message = repository.refuses()
    assert "there are no results to compare" in message
    assert "dvc exp run --queue -S seed=0,1,2" in message


def test_experiments_of_other_commits_are_there_when_asked_for(repository: Repository) -> None:
    sweep(repository)
    repository.git("commit", "--quiet", "--allow-empty", "-m", "Go on")
    assert "6 experiments of other commits are there: add --all-commits" in repository.refuses()
    assert "82.54 ± 0.33" in repository.compare("--all-commits")
    repository.experiment("cassle-0", 70, strategy="cassle", seed=0)
    assert "70.00 ± –" in repository.compare("cassle-0")
    first = repository.git("rev-parse", "--short=7", "HEAD~1")
    assert f"cassle-0 ({first})" in repository.refuses("--all-commits")
    repository.git("commit", "--quiet", "--allow-empty", "-m", "Further")
    assert "'cassle-0' is the name of 2 experiments; say which" in repository.refuses("cassle-0")


def test_runs_are_named_by_branch_tag_commit_or_experiment(repository: Repository) -> None:
    commits = {
        name: repository.experiment(f"x-{name}", 80 + index, seed=index)
        for index, name in enumerate(["a", "b", "c"])
    }
    repository.git("branch", "one", commits["a"])
    repository.git("tag", "-a", "two", commits["b"], "-m", "Two")
    repository.write(90, seed=9)
    out = repository.compare("one", "two", commits["c"], "workspace", "--output", "reports/c.csv")
    assert rows(out, "simclr", "cassle")[0][2] == "4"
    assert read_csv(Path("reports/c.csv"))[0]["runs"] == f"one two {commits['c']} workspace"
    assert rows(repository.compare("--branches", "--tags", "x-a"), "simclr", "cassle")[0][2] == "2"
    assert "'nothing' is no git revision, branch or DVC experiment here" in repository.refuses(
        "nothing"
    )
    assert "'--all' is no git revision" in repository.refuses("--", "--all")


def test_code_that_differs_between_runs_is_said(repository: Repository) -> None:
    (repository.root / "pipeline").mkdir()
    for seed, name in enumerate(["before", "after"]):
        (repository.root / "pipeline/learner.py").write_text(name)
        repository.experiment(name, 80, seed=seed)
    out = " ".join(repository.compare().split())
    assert (
        "pipeline/ is not the same in all of these runs, and metrics may differ for that: after; before."
        in out
    )


def test_the_project_may_be_a_folder_of_the_repository(repository: Repository) -> None:
    inner = repository.root / "inner"
    inner.mkdir()
    repository.monkeypatch.chdir(inner)
    repository.root = inner
    repository.write(80, seed=0)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "Run")
    assert len(rows(repository.compare("main"), "simclr", "cassle")) == 1


def test_outside_a_repository_there_is_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, repository: Repository
) -> None:
    repository.monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    repository.monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path_factory.getbasetemp()))
    assert "this folder is in no git repository" in repository.refuses()


def test_git_that_is_not_installed_is_named(repository: Repository) -> None:
    repository.monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in repository.refuses()


def test_the_tables_are_written_side_by_side(repository: Repository) -> None:
    sweep(repository)
    repository.write(83.5, strategy="er", seed=0, figures={"forgetting": None})
    out = repository.compare("--output", "tables/comparison")
    assert "written: tables/comparison.md" in out
    markdown = Path("tables/comparison.md").read_text()
    assert "| simclr   | cassle         |   3 | 82.54 ± 0.33 |" in markdown
    assert "+1.97 [+0.44, +3.51] 3/3" in markdown
    protocol = "probe linear: offline linear, on features extracted once"
    for suffix in ("md", "csv", "tex"):
        assert protocol in Path(f"tables/comparison.{suffix}").read_text()
    assert f"Accuracies are by {protocol}." in out
    latex = Path("tables/comparison.tex").read_text()
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 2
    assert r"82.54 $\pm$ 0.33" in latex
    assert "A (\\%)" in latex
    code = [line for line in latex.splitlines() if not line.startswith("%")]
    assert all(line.isascii() for line in code)
    assert len({line.count("&") for line in code[:7] if "&" in line}) == 1
    found = read_csv(Path("tables/comparison.csv"))
    [line] = [
        row for row in found if (row["strategy"], row["figure"]) == ("cassle", "average_accuracy")
    ]
    assert float(line["difference"]) == pytest.approx(1.97333333)
    assert float(line["ci_low"]) == pytest.approx(0.43691207)
    assert (line["wins"], line["shared_seeds"], line["seeds"]) == ("3", "3", "0 1 2")
    assert (line["pairs"], line["sign_test_p"]) == ("3", "0.25")
    [empty] = [row for row in found if (row["strategy"], row["figure"]) == ("er", "forgetting")]
    assert (empty["n"], empty["mean"], empty["difference"]) == ("0", "", "")
    figures = {"estimates", "differences", "order", "over_tasks", "cost"}
    images = {Path(f"tables/comparison_{figure}.png") for figure in figures}
    assert set(Path("tables").glob("*.png")) == images
    for path in images:
        assert f"written: {path}" in out
        with Image.open(path) as image:
            assert image.width >= 700
    page = Path("tables/comparison.html").read_text()
    assert "+1.97 [+0.44, +3.51] 3/3" in page and f"Accuracies are by {protocol}." in page


def test_the_table_has_a_row_over_all_methods(repository: Repository) -> None:
    sweep(repository)
    for strategy, values in SWEEP.items():
        for seed, value in enumerate(values):
            repository.experiment(
                f"byol-{strategy}-{seed}", value, method="byol", strategy=strategy, seed=seed
            )
    out = repository.compare("--no-workspace", "--output", "comparison.csv")
    [printed] = rows(out, "all 2 methods", "cassle")
    assert printed[3] == "+1.97 [+0.44, +3.51] 6/6 p = 0.031"
    [line] = [
        row
        for row in read_csv(Path("comparison.csv"))
        if (row["method"], row["figure"]) == ("all 2 methods", "average_accuracy")
    ]
    assert (line["wins"], line["pairs"], line["sign_test_p"]) == ("6", "6", "0.03125")
    assert (line["n"], line["mean"], line["shared_seeds"]) == ("", "", "3")


def test_images_of_an_earlier_comparison_go_and_other_files_stay(repository: Repository) -> None:
    repository.experiment("alone", 80.0, strategy="finetune", cost={"training_seconds": 9.0})
    kept = {Path("out/c_notes.png"), Path("out/other_order.png")}
    for path in (*kept, Path("out/c_table_2_order.png"), Path("out/c_differences.png")):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    # Fine-tuning alone has nothing to be compared with and no order.
    out = repository.compare("--metric", "average_accuracy", "--output", "out/c.png")
    drawn = {Path(f"out/c_{figure}.png") for figure in ("estimates", "over_tasks", "cost")}
    assert set(Path("out").iterdir()) == drawn | kept
    assert all(f"written: {path}" in out for path in drawn)


def test_names_stay_whole_in_80_columns_of_a_terminal(repository: Repository) -> None:
    sweep(repository)
    repository.experiment("half", 81.5, strategy="cassle", seed=0, distill_weight=0.5)
    repository.experiment("many", 81.5, strategy="cassle+er+less_forget", seed=0)
    for width, folded in ((80, True), (200, False)):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        found = compare_runs(group_runs(_read_all()), DEFAULT_METRICS, None)
        print_comparison(found, console)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert max(map(len, lines)) <= width
        words = {word for line in lines for word in line.split()}
        assert words >= {"finetune", "simclr", "method", "strategy", "seconds", "passes", "network"}
        assert any(line.strip().endswith("] cassle+er+less_forget") for line in lines) == folded
        assert any("cassle (distill_weight=0.5)" in line for line in lines)


@pytest.mark.parametrize(("width", "shown"), [(80, False), (200, True)])
def test_the_images_of_a_budget_have_a_column_where_there_is_room(
    width: int, shown: bool, repository: Repository
) -> None:
    sweep(repository, cost=COST | {"images_backward": 2_345_678})
    repository.experiment("many", 81.5, strategy="cassle+er+less_forget", seed=0)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_comparison(compare_runs(group_runs(_read_all()), DEFAULT_METRICS, None), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("2.35" in text) == shown
    assert ("no room for the column images" in text) != shown
    written = repository.compare("--output", "tables/budget.md") and Path("tables/budget.md")
    assert " 2.35 |" in written.read_text()


def _read_all() -> list[Run]:
    return [run for run in read_runs(list_experiments(False)) if isinstance(run, Run)]


def test_a_suffix_chooses_one_file_and_others_are_refused(repository: Repository) -> None:
    sweep(repository)
    repository.compare("--output", "out.tex")
    assert sorted(path.name for path in repository.root.glob("out*")) == ["out.tex"]
    for name in ("out.txt", "."):
        assert "must end in .md, .csv, .tex, .html, .png, or in none" in repository.refuses(
            "--output", name
        )


def test_a_folder_is_no_output(repository: Repository) -> None:
    sweep(repository)
    for name in ("tables", "tables.md"):
        Path(name).mkdir()
        assert repository.refuses("--output", f"{name}/").strip() == (
            f"error: --output: '{name}' is a folder; name the files in it, e.g. "
            f"{name}/comparison, or one of them, e.g. {name}/comparison.md"
        )
        assert not [*Path(name).iterdir(), *Path().glob("tables.csv")]


def test_missing_costs_are_dashes(repository: Repository) -> None:
    repository.write(80)
    Path("reports/cost.json").unlink()
    assert rows(repository.compare(), "simclr", "cassle")[0][-3:] == ["–", "–", "–"]


def test_comparing_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.commands.compare, pipeline.reporting.comparing.comparison_files; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "dvc", "numpy", "pandas", "scipy", "matplotlib", "sklearn"}
    assert "pipeline.reporting.comparing.comparison" in loaded
    assert not heavy & set(loaded)


def test_files_are_written_before_anything_is_printed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def print_to_nobody(*arguments: object) -> None:
        raise BrokenPipeError

    sweep(repository)
    monkeypatch.setattr(comparison_terminal, "print_comparison", print_to_nobody)
    code, _, _ = repository.cassle("compare", "--output", "out/table.csv")
    assert code == 1
    assert Path("out/table.csv").read_text().startswith("table,method,")
