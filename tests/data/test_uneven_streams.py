"""Streams of unequal tasks: blurred, imbalanced, irregular, and by superclasses."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import layout
from pipeline.artifacts.split import Split, read_split, write_splits
from pipeline.building.cut_stream import cut_stream
from pipeline.building.labelled_images import LabelledImages
from pipeline.building.stream_contents import list_contents
from pipeline.building.uneven_tasks import cut_unevenly
from pipeline.config.superclasses import read_superclasses
from pipeline.data.datasets.cifar100_classes import CIFAR100_CLASSES
from pipeline.data.datasets.image_folder import ImageFolder
from pipeline.data.stream.blurring import blur_boundaries
from pipeline.data.stream.division import divide_irregularly
from pipeline.data.stream.lengths import choose_left_out, draw_shares
from pipeline.data.stream.superclasses import group_superclasses
from pipeline.errors import DataError
from pipeline.reporting.stream_map import UNLABELLED, count_stream
from pipeline.reporting.task_contents import remark_on_tasks
from pipeline.runtime.inputs import Inputs
from pipeline.stages.train_probing import draw_images
from tests.data.test_scenarios import Made
from tests.support.image_files import file_options, reading, tree
from tests.support.params import Changes
from tests.support.project import CLASSES, Project
from tests.support.streams import plan_cut

SHIPPED = "presets/cifar100_superclasses.csv"
NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]
# The superclass of each class, by label, as the published files of CIFAR-100 have them.
COARSE = (
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7),
    *(6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10),
    *(16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16),
    *(12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
)


class MadeMore(Made):
    """Images of seven classes, so many of each."""

    def __init__(self, each: int) -> None:
        super().__init__(list(range(7)) * each, list(range(7)) * 2)
        self.classes = NAMES


def cut(source: Made | ImageFolder, scenario: str, tasks: int, **options: object) -> list[Split]:
    """Return the splits of a stream that is cut by some options."""
    plan = plan_cut(source, scenario, tasks)
    return cut_stream(replace(plan, stream=replace(plan.stream, **options)), source)  # type: ignore[arg-type]


@pytest.mark.parametrize(("items", "groups", "least"), [(10, 3, 2), (10, 5, 1), (20, 6, 2)])
def test_irregular_groups_hold_all_items_in_order_and_differ_in_size(
    items: int, groups: int, least: int
) -> None:
    drawn = set()
    for seed in range(20):
        divided = divide_irregularly(range(items), groups, seed)
        sizes = tuple(map(len, divided))
        assert [item for group in divided for item in group] == list(range(items))
        assert min(sizes) >= least
        assert max(sizes) - min(sizes) > 1
        assert divided == divide_irregularly(range(items), groups, seed)
        drawn.add(sizes)
    assert len(drawn) > 5


def test_irregular_groups_need_more_items_than_there_are_groups() -> None:
    with pytest.raises(ValueError, match=r"stream\.irregular .* num_tasks must be below 4, got 4"):
        divide_irregularly(range(4), 4, 0)
    assert sorted(map(len, divide_irregularly(range(5), 4, 0))) == [1, 1, 1, 2]


def test_the_shipped_superclasses_are_those_of_cifar100() -> None:
    given = read_superclasses(SHIPPED)
    assert [len(classes) for classes in given] == [5] * 20
    # Superclasses are numbered in the order of the file.
    numbers = {name: number for number, classes in enumerate(given) for name in classes}
    assert tuple(numbers[name] for name in CIFAR100_CLASSES) == COARSE


def test_superclasses_may_begin_with_the_mark_of_an_editor(tmp_path: Path) -> None:
    path = tmp_path / "from_excel.csv"
    path.write_text("superclass,class\r\nfish,cod\r\nfish,é\r\n", encoding="utf-8-sig", newline="")
    assert read_superclasses(str(path)) == (("cod", "é"),)


@pytest.mark.parametrize(("tasks", "irregular"), [(20, False), (5, False), (3, False), (7, True)])
def test_a_task_holds_whole_superclasses(tasks: int, irregular: bool) -> None:
    given = read_superclasses(SHIPPED)
    groups = group_superclasses(given, CIFAR100_CLASSES, tasks, 0, irregular=irregular)
    assert sorted(label for group in groups for label in group) == list(range(100))
    held = [{COARSE[label] for label in group} for group in groups]
    assert [len(group) for group in groups] == [5 * len(each) for each in held]
    other = group_superclasses(given, CIFAR100_CLASSES, tasks, 1, irregular=irregular)
    assert groups != other


@pytest.mark.parametrize(
    ("superclasses", "problem"),
    [
        ([["ant", "bee"], ["cot"]], "'cot' is unknown; did you mean 'cat'"),
        ([["ant", "bee"], ["ant"]], r"'ant' \(0\) is there twice"),
        ([["ant", "bee"]], "lacks 1 of 3 classes: cat"),
        ([["ant", "bee", "cat"]], "num_tasks must be at most 1"),
    ],
)
def test_superclasses_that_do_not_fit_are_one_clear_error(
    superclasses: Sequence[Sequence[str]], problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"stream\.superclasses.*{problem}|{problem}"):
        group_superclasses(superclasses, NAMES[:3], 2, 0, irregular=False)


def test_the_longest_task_is_so_many_times_the_shortest() -> None:
    shares = draw_shares(4, 8.0, split_seed=0)
    assert sorted(shares, reverse=True) == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8])
    orders = {tuple(np.argsort(draw_shares(4, 8.0, seed))) for seed in range(9)}
    assert len(orders) > 3
    assert draw_shares(3, 1.0, 0) == [1, 1, 1]


def test_of_each_class_a_task_keeps_the_share_and_one_image_at_least() -> None:
    classes = ["bee"] * 10 + ["ant"] * 40 + ["cat"]
    out = choose_left_out(classes, 0.25, split_seed=0, task=1)
    left = Counter(name for place, name in enumerate(classes) if place not in out)
    assert left == {"bee": 2, "ant": 10, "cat": 1}
    assert out == sorted(out)
    assert out != choose_left_out(classes, 0.25, split_seed=0, task=2)


def test_blurred_neighbours_exchange_images_near_their_boundary_alone() -> None:
    tasks = blur_boundaries([40, 80, 40], 0.5, split_seed=0)
    assert [len(task) for task in tasks] == [40, 80, 40], "lengths stay"
    images = [image for task in tasks for image in task]
    assert sorted(images) == [(t, place) for t, n in enumerate([40, 80, 40]) for place in range(n)]
    for number, task in enumerate(tasks):
        assert {origin for origin, _ in task} - {number} <= {number - 1, number + 1}
        # A quarter of the shorter one is mixed on either side.
        middle = task[10:-10] if number == 1 else (task[:-10] if number == 0 else task[10:])
        assert {origin for origin, _ in middle} == {number}
    assert blur_boundaries([4, 4], 0.0, 0)[0] != tasks[0]
    assert all(origin == 0 for origin, _ in blur_boundaries([9, 9], 0.0, 0)[0])


def test_the_probability_of_the_next_task_rises_linearly_over_the_boundary() -> None:
    count = 4000
    before, after = blur_boundaries([count, count], 1.0, split_seed=3)
    stream = np.array([origin for origin, _ in [*before[count // 2 :], *after[: count // 2]]])
    found = stream.reshape(10, -1).mean(axis=1)
    # Tenths of 400 images: a deviation of the mean is at most 0.025.
    np.testing.assert_allclose(found, (np.arange(10) + 0.5) / 10, atol=0.08)


def test_a_blurred_split_says_which_classes_are_its_own_and_is_tested_on_these() -> None:
    source = MadeMore(20)
    plain, blurred = (cut(source, "class", 3, blurred=share) for share in (0.0, 1.0))
    for before, split in zip(plain, blurred, strict=True):
        assert split.classes == before.classes
        assert split.class_names == before.class_names
        assert (split.test, split.labels["test"]) == (before.test, before.labels["test"])
        assert len(split.train) == len(before.train)
        assert before.drifting is None
        assert split.drifting
        assert not set(split.drifting) & set(split.class_names)
        assert split.counts["train"].classes == Counter(split.names("train"))
        assert set(split.counts["test"].classes) == set(split.class_names)
        named = [NAMES[label] for label in source.labels("train")[list(split.train)]]
        assert split.names("train") == named
    trained = [sorted(key for split in each for key in split.train) for each in (plain, blurred)]
    assert trained[0] == trained[1]
    assert blurred == cut(source, "class", 3, blurred=1.0)


def test_probes_while_a_task_trains_know_no_class_that_drifts_in_from_the_next() -> None:
    source = MadeMore(20)
    splits = cut(source, "class", 2, blurred=1.0)
    images = LabelledImages(source, splits[:1], Inputs("probing"), NAMES)
    _, labels, _ = draw_images(images, [1], "train", 1000)
    assert set(labels.tolist()) == set(splits[0].classes) < set(splits[0].labels["train"])


def test_classes_of_files_keep_their_labels_where_they_drift_in(tmp_path: Path) -> None:
    folder = tree(tmp_path / "own", dict.fromkeys(NAMES, 12))
    source = ImageFolder(folder, file_options(), reading(tmp_path))
    splits = cut(source, "class", 3, blurred=1.0)
    own: dict[str, int] = {}
    for split in splits:
        own |= dict(zip(split.class_names, split.classes, strict=True))
    assert sorted(own.values()) == list(range(7))
    for split in splits:
        assert split.drifting
        assert {name: own[name] for name in split.drifting} == split.drifting
        assert [Path(str(key)).parts[0] for key in split.train] == split.names("train")


def test_a_class_that_can_be_read_where_it_drifts_in_alone_is_one_clear_error(
    tmp_path: Path,
) -> None:
    folder = tree(tmp_path / "own", dict.fromkeys(NAMES, 12))
    options = file_options(on_bad_image="skip")
    first = cut(ImageFolder(folder, options, reading(tmp_path)), "class", 3, blurred=1.0)[0]
    assert first.drifting
    name = min(first.drifting)
    for path in (folder / name).iterdir():
        if f"{name}/{path.name}" not in first.train:
            path.write_bytes(b"no image")
    plan = plan_cut(ImageFolder(folder, options, reading(tmp_path)), "class", 3)
    blurred = replace(plan, stream=replace(plan.stream, blurred=1.0))
    with pytest.raises(DataError, match=f"of the (train|test) part is left of {name}"):
        cut_stream(blurred, ImageFolder(folder, options, reading(tmp_path)))


@pytest.mark.parametrize("scenario", ["class", "data"])
def test_imbalanced_tasks_leave_out_training_images_and_keep_all_tests(scenario: str) -> None:
    plain = cut(MadeMore(30), scenario, 3)
    splits = cut(MadeMore(30), scenario, 3, imbalanced=4.0)
    assert sorted(split.share for split in splits) == pytest.approx([1 / 4, 1 / 2, 1])
    for before, split in zip(plain, splits, strict=True):
        assert split.test == before.test
        assert set(split.train) <= set(before.train)
        assert len(split.train) == pytest.approx(split.share * len(before.train), abs=4)


def test_random_parts_of_other_lengths_are_dealt_anew() -> None:
    source = MadeMore(30)
    plain, long = plan_cut(source, "data", 3), plan_cut(source, "data", 4)
    uneven = replace(plain, stream=replace(plain.stream, imbalanced=4.0))
    even, shortened = cut_stream(plain, source), cut_stream(uneven, source)
    assert cut_stream(uneven, source, even) == shortened
    assert cut_stream(plain, source, shortened) == even
    assert cut_stream(long, source, shortened) == cut_stream(long, source)


def test_blurred_tasks_need_the_images_of_all_of_them() -> None:
    source = MadeMore(5)
    plan = plan_cut(source, "class", 2)
    tasks = [list_contents(plan, source)[0], cut_stream(plan, source)[1]]
    blurred = replace(plan.stream, blurred=0.5)
    with pytest.raises(DataError, match="those of task 2 are no longer in made; bring them back"):
        cut_unevenly(blurred, tasks, source.root)


def test_a_split_whose_tests_drift_in_is_damaged(project: Project) -> None:
    splits = cut(MadeMore(20), "class", 2, blurred=1.0)
    write_splits(splits, 2)
    assert read_split(1).drifting == splits[0].drifting
    foreign = next(iter(splits[0].drifting.values()))  # type: ignore[union-attr]
    tests = [foreign, *splits[0].labels["test"][1:]]
    write_splits([replace(splits[0], labels={**splits[0].labels, "test": tests})], 2)
    with pytest.raises(DataError, match=r"labels\.test holds \d, which is not among its classes"):
        read_split(1)


CLASSES_FIRST: Changes = {"class_order": [["Bag"], ["Dress", "Coat"], ["Shirt"]]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scenario": "domain", "stream.blurred": 0.5}, "stream.blurred mixes the classes .* domain"),
        ({"scenario": "data", "stream.blurred": 0.5}, "stream.blurred .* mixed already"),
        ({"stream.blurred": 1.5}, "stream.blurred: .* less than or equal to 1, got 1.5"),
        ({"stream.blurred": 0.5, "num_tasks": 1}, "stream.blurred needs two tasks or more"),
        ({"stream.imbalanced": 0.5}, "stream.imbalanced: .* greater than or equal to 1, got 0.5"),
        ({"stream.imbalanced": 2, "num_tasks": 1}, "stream.imbalanced needs two tasks or more"),
        ({"scenario": "data", "stream.irregular": True}, "stream.irregular .* got data"),
        ({"stream.irregular": True, "num_tasks": 10}, "num_tasks must be below 10, got 10"),
        ({"stream.irregular": True, **CLASSES_FIRST}, "stream.irregular .* lists of class_order"),
        ({"scenario": "domain", "stream.superclasses": "a.csv"}, "stream.superclasses .* got domain"),
        ({"stream.superclasses": "a.csv", **CLASSES_FIRST}, "superclasses and class_order both"),
        ({"stream.superclasses": "a.csv"}, "stream.superclasses: 'a.csv' is not there"),
        ({"stream.superclasses": "params.yaml"}, "line 2: got .*columns superclass,class"),
        (
            {"scenario": "folders", "dataset": "image_folder", "num_tasks": None,
             "stream.imbalanced": 2},
            "stream.imbalanced .* takes each folder as it comes",
        ),
        (
            {"scenario": "folders", "dataset": "image_folder", "num_tasks": None,
             "stream.blurred": 0.2},
            "stream.blurred .* the task before it",
        ),
    ],
)  # fmt: skip
def test_cuts_that_do_not_fit_are_one_clear_error(
    project: Project, changes: Changes, problem: str
) -> None:
    project.set(changes)
    said = project.refuses("plan")
    assert re.search(problem, said), said


def test_check_and_prepare_say_how_the_stream_is_cut(project: Project) -> None:
    rows = "".join(f"{name},{word}\n" for name, word in SUPERCLASSES)
    Path("by_use.csv").write_text(f"superclass,class\n{rows}")
    project.set(
        {
            "stream.blurred": 1.0,
            "stream.imbalanced": 2,
            "stream.superclasses": "by_use.csv",
            "train.batch_size": 8,
        }
    )
    project.make_repository()
    said = project.must("check")
    assert "neighbours mix 1 of a task's training images; classes come by 3 superclasses" in said
    assert "images of neighbours' classes" in said
    project.must("plan")
    project.must("prepare")
    held = [read_split(task) for task in (1, 2, 3)]
    remarks = " ".join(remark_on_tasks(held))
    assert "Boundaries are blurred (stream.blurred)" in remarks
    assert "they keep " in remarks
    assert {frozenset(split.class_names) for split in held} == {
        frozenset(word for other, word in SUPERCLASSES if other == name) for name, _ in SUPERCLASSES
    }
    project.set({"stream.blurred": 0.5})
    assert "the params cut the stream in another way than before" in project.must("check")
    project.set({"stream.imbalanced": 50})
    assert "the smallest; lower it, stream.imbalanced or num_tasks" in project.refuses("check")


SUPERCLASSES = [
    *(("tops", "T-shirt/top"), ("tops", "Pullover"), ("tops", "Coat"), ("tops", "Shirt")),
    *(("shoes", "Sandal"), ("shoes", "Sneaker"), ("shoes", "Ankle boot")),
    *(("others", "Trouser"), ("others", "Dress"), ("others", "Bag")),
]


def test_the_default_cut_is_written_as_it_was(project: Project) -> None:
    project.must("plan")
    project.must("prepare")
    held = json.loads(layout.split(1).read_text())
    assert not {"share", "drifting"} & held.keys()
    planned = json.loads((layout.PLAN / "prepare.json").read_text())
    assert planned["stream"].keys() == {"num_tasks", "split_seed"}


def test_the_map_of_a_stream_counts_what_drifts_in_and_what_has_no_labels() -> None:
    splits = cut(MadeMore(20), "class", 2, blurred=1.0)
    held = count_stream(splits)
    assert list(held.names) == [*splits[0].class_names, *splits[1].class_names]
    each = [[split.counts["train"].classes.get(name, 0) for split in splits] for name in held.names]
    assert held.counts == each
    assert held.most == max(map(max, each))
    bare = replace(splits[0], classes=[], class_names=[], drifting=None, labels={"train": []})
    assert count_stream([bare]).names == [UNLABELLED]
    assert count_stream([bare]).counts == [[len(bare.train)]]


def test_a_stream_of_domains_of_unequal_lengths_does_not_grow(project: Project) -> None:
    counts = {f"{domain}/{name}": 12 for domain in ("a", "b", "c") for name in ("ant", "bee")}
    tree(Path("own"), counts)
    project.set(
        {
            **{"dataset": "image_folder", "scenario": "domain", "data.root": "own"},
            **{"data.domains": ["a", "b"], "num_tasks": 2, "data.image_size": 16},
            **{"stream.imbalanced": 2, "train.batch_size": 8},
        }
    )
    project.must("plan")
    project.must("prepare")
    assert "such a stream does not grow" in project.refuses("add-task", "own/c")


def test_a_blurred_run_is_reported_by_the_classes_that_are_each_tasks_own(
    project: Project,
) -> None:
    project.set(
        {
            **{"stream.blurred": 1.0, "stream.irregular": True, "num_tasks": 2},
            **{"evaluation.probes": ["nearest_mean"], "evaluation.headline": "nearest_mean"},
            **{"train.epochs": 1, "train.warmup_epochs": 0},
        }
    )
    project.run_all(2)
    splits = [read_split(task) for task in (1, 2)]
    report = Path("reports/report.md").read_text()
    for split in splits:
        names = ", ".join(split.class_names)
        assert f"| {split.task} | {names} | {len(split.train)} | {len(split.test)} |" in report
    assert "Boundaries are blurred (stream.blurred)" in report
    assert "](stream.png)" in report
    assert Path("reports/stream.png").stat().st_size > 0
    held = count_stream(splits)
    page = Path("reports/report.html").read_text()
    drawing = page[page.index('aria-labelledby="stream-title') :].partition("</svg>")[0]
    cells = sum(count > 0 for row in held.counts for count in row)
    assert cells > CLASSES
    assert drawing.count('class="middle small"') == cells


def test_a_class_in_a_file_may_be_spelt_in_either_unicode_form(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    (tmp_path / "kinds.csv").write_text(f"superclass,class\nplaces,{two}\nplaces,bar\n")
    assert read_superclasses(str(tmp_path / "kinds.csv")) == ((one, "bar"),)
