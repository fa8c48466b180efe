"""``cassle preset cost``: steps and operations of published recipes."""

from __future__ import annotations

import pytest

from pipeline.commands import cost
from pipeline.config import presets
from pipeline.config.read import parse_params
from pipeline.config.registry.datasets import DATASETS
from pipeline.config.resolve import Plans, resolve
from pipeline.data.datasets.domainnet import DOMAINS
from pipeline.errors import ParamsError
from pipeline.layout import PARAMS
from tests.support.params import ROOT, with_changes
from tests.support.project import Project

# Not quick, and a fixture of the module is dear.
pytestmark = pytest.mark.pipeline


def count_resnet18(sizes: tuple[int, int, int, int]) -> int:
    """Return the multiply-adds of a ResNet-18 with the 3×3 stem, by the size of its maps."""
    areas = [size**2 for size in sizes]
    total = 9 * 64 * (3 + 4 * 64) * areas[0]
    for width, area in zip((128, 256, 512), areas[1:], strict=True):
        before = width // 2
        total += width * (9 * (before + 3 * width) + before) * area
    return total


CIFAR_FORWARD = 2 * count_resnet18((34, 17, 9, 5))  # padded by 2, on 32 pixels


def plan(name: str, **changes: object) -> Plans:
    merged, _ = presets.merge(
        (ROOT / PARAMS).read_text(), (ROOT / f"presets/{name}.yaml").read_text()
    )
    return resolve(parse_params(with_changes(merged, changes), name))


@pytest.fixture(scope="module")
def simclr() -> cost.Cost:
    return cost.count("simclr", plan("cifar100_simclr"), {})


def test_steps_are_those_of_the_published_data_set(simclr: cost.Cost) -> None:
    assert simclr.steps == [10_000 // 256 * 500] * 5


def test_the_count_by_hand_is_the_published_one_for_the_usual_stem() -> None:
    assert count_resnet18((32, 16, 8, 4)) == pytest.approx(0.5556e9, rel=1e-3)


def test_a_step_is_three_passes_of_two_views_and_distillation_one_more(simclr: cost.Cost) -> None:
    views = 256 * 2 * CIFAR_FORWARD
    assert simclr.operations[0] == pytest.approx(3 * views, rel=0.01)
    assert simclr.operations[1] == pytest.approx(4 * views, rel=0.01)
    assert len(set(simclr.operations[1:])) == 1


def test_a_momentum_network_is_one_pass_more(simclr: cost.Cost) -> None:
    byol = cost.count("byol", plan("cifar100_byol"), {})
    views = 256 * 2 * CIFAR_FORWARD
    assert byol.operations[0] - simclr.operations[0] == pytest.approx(views, rel=0.05)


def test_what_stands_in_for_the_objective_is_counted(simclr: cost.Cost) -> None:
    pnr = cost.count("pnr", plan("cifar100_simclr", strategy="pnr"), {})
    assert pnr.operations[1] == pytest.approx(simclr.operations[1], rel=0.01)


def test_hours_are_steps_times_operations_at_the_rate() -> None:
    found = cost.Cost([100, 50], [2e12, 4e12])
    assert found.total == 400e12
    assert found.hours(10) == pytest.approx(40 / 3600)
    assert found.hours(20) == found.hours(10) / 2


def test_a_step_is_counted_once_for_all_recipes_that_share_it() -> None:
    known: dict[str, float] = {}
    by_class = cost.count("class", plan("cifar100_simclr"), known)
    assert len(known) == 2
    assert cost.count("data", plan("cifar100_data_simclr"), known) == by_class
    assert len(known) == 2


def test_a_budget_decides_the_steps_of_each_task_or_of_all_at_once() -> None:
    step = 256 * 2
    for strategy, steps in (("finetune", [100] * 5), ("offline", [500])):
        changes = {"strategy": strategy, "train.budget": 100 * step, "train.warmup_epochs": 1}
        assert cost.count_steps("simclr", plan("cifar100_simclr", **changes)) == steps


def test_the_domains_sizes_are_their_own() -> None:
    published = DATASETS["domainnet"].domain_images
    prepare = plan("domainnet_simclr").prepare
    assert cost.count_images("domainnet", prepare) == list(published.values())
    assert tuple(published) == DOMAINS
    assert sum(published.values()) == 409_832


def test_images_that_are_not_known_are_one_clear_error() -> None:
    with pytest.raises(ParamsError, match=r"dataset: image_folder, scenario: class\) cannot be"):
        cost.count("mine", plan("cifar100_simclr", dataset="image_folder"), {})


def test_the_command_prints_a_table(project: Project) -> None:
    (project.root / "presets").mkdir()
    for name in ("cifar100_simclr", "cifar100_vicreg"):
        (project.root / f"presets/{name}.yaml").write_text(
            (ROOT / f"presets/{name}.yaml").read_text()
        )
    before = PARAMS.read_bytes()
    lines = project.must("preset", "cost", "--rate", "40").splitlines()
    assert "hours at 40 TFLOP/s" in lines[0]
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| cifar100_simclr",
        "| cifar100_vicreg",
    ]
    assert len(project.must("preset", "cost", "cifar100_vicreg").splitlines()) == 3
    assert PARAMS.read_bytes() == before
    code, _, err = project.cassle("preset", "cost", "cifar100_vicrag")
    assert code == 2
    assert "did you mean 'cifar100_vicreg'" in err


@pytest.mark.parametrize("rate", ["inf", "1e999"])
def test_a_rate_is_a_number(rate: str, project: Project) -> None:
    assert project.refuses("preset", "cost", "--rate", rate) == (
        "error: --rate: got inf, expected the TFLOP/s that the hardware sustains, e.g. --rate 20"
    )


def test_own_images_cannot_be_counted_and_stop_no_other_count(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Those of own images are not even resolved: the folder may not be there.
    project.set({"dataset": "image_folder", "scenario": "folders", "data.root": "nowhere"})
    monkeypatch.setattr("pipeline.layout.PRESETS", ROOT / "presets")
    monkeypatch.setattr("pipeline.config.presets.PRESETS", ROOT / "presets")
    published = presets.list_published()
    assert sorted(set(presets_here()) - set(published)) == ["own_images", "own_images_small"]


def presets_here() -> list[str]:
    return sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
