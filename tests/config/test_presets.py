"""Presets: each lays a published recipe over params.yaml, and trains."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pipeline.building.backbone import build_backbone
from pipeline.building.components import load_class
from pipeline.building.training import build_optimization
from pipeline.config import presets
from pipeline.config.options import options_of
from pipeline.config.params import Params
from pipeline.config.read import load_params, parse_params
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.resolve import resolve
from pipeline.data.augmentation.augment import Augment
from pipeline.data.datasets.cifar100_classes import CIFAR100_CLASSES
from pipeline.data.stream.tasks import group_classes
from pipeline.errors import ParamsError
from pipeline.layout import PARAMS
from pipeline.methods.base import Method, Position
from pipeline.strategies.base import Step, Strategy
from pipeline.training.optim import build_optimizer
from tests.support.image_files import tree
from tests.support.networks import task_start
from tests.support.params import ROOT, SHIPPED
from tests.support.project import Project

# Not quick, and a fixture of the module is dear.
pytestmark = pytest.mark.pipeline

NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
RECIPES = [
    f"{dataset}_{method}"
    for dataset in ("cifar100", "cifar100_data", "imagenet100", "imagenet100_data", "domainnet")
    for method in ("simclr", "mocov2plus", "byol", "barlow_twins", "swav", "vicreg")
]
# The paper's code has no script of DINO; these take solo-learn's.
RECIPES += ["cifar100_dino", "imagenet100_dino", "imagenet100_dino_vit"]


def read(name: str) -> str:
    return (ROOT / "presets" / f"{name}.yaml").read_text()


@functools.cache
def over_shipped(name: str) -> tuple[Params, str, list[str]]:
    """Return the shipped params with a preset over them, their text, and what it changed."""
    merged, changes = presets.merge(SHIPPED, read(name))
    return parse_params(merged, name), merged, changes


def step_plan(name: str) -> tuple[object, ...]:
    """Return all that a step of a recipe's second task depends on."""
    params = over_shipped(name)[0]
    plan = resolve(params).train[2]
    rates = params.train.model_dump(exclude={"epochs"})
    return plan.views, plan.method, plan.strategies, plan.backbone, rates


# For people's own images: those say where they are and how they are cut.
OWN = ["own_images", "own_images_small"]


def test_there_is_a_recipe_for_each_published_method_and_data_set() -> None:
    assert sorted(RECIPES + OWN) == NAMES


@pytest.mark.parametrize("name", OWN)
def test_a_preset_for_own_images_fits_a_folder_and_leaves_where_and_how(
    name: str, project: Project
) -> None:
    given = {"data.root": "mine", "scenario": "domain", "num_tasks": 2}
    project.set({**given, "data.holdout_by": "name"})
    tree(project.root / "mine", {f"{a}/{b}": 8 for a in ("x", "y") for b in ("cat", "dog")})
    project.must("preset", "use", name)
    params = load_params(PARAMS)
    kept = {"data.root": params.data.root, "scenario": params.scenario}
    assert {**kept, "num_tasks": params.num_tasks} == given
    assert params.data.holdout_by == "name"
    project.set({"train.batch_size": 8, "evaluation.knn.k": 3, "evaluation.few_labels.labels": 1})
    project.make_repository()
    said = project.must("check")
    assert "params: simclr with cassle, 2 tasks" in said
    assert "If the run does not end above the random network" in read(name)


@pytest.mark.parametrize("name", OWN)
def test_after_any_recipe_a_preset_for_own_images_trains_as_alone(name: str, mixed: str) -> None:
    after = resolve(parse_params(presets.merge(mixed, read(name))[0], name)).train[1]
    alone = resolve(over_shipped(name)[0]).train[1]
    assert (after.views, after.method, after.backbone) == (
        alone.views,
        alone.method,
        alone.backbone,
    )
    assert after.train == alone.train


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_over_the_shipped_params_is_valid_and_all_it_says(name: str) -> None:
    valid, merged, changes = over_shipped(name)
    params = valid.model_dump()
    assert changes

    def same(wanted: dict[str, object], found: dict[str, object]) -> None:
        for key, value in wanted.items():
            if isinstance(value, dict):
                inner = found[key]
                assert isinstance(inner, dict)
                same(value, inner)
            else:
                assert found[key] == value, key

    same(YAML(typ="safe").load(read(name)), params)
    # Comments and all that the preset does not name are as they were.
    assert merged.count("#") == SHIPPED.count("#")
    touched = {
        change.partition(":")[0].rpartition(".")[2]
        for change in presets.merge(SHIPPED, read(name))[1]
    }
    kept = [line for line in SHIPPED.splitlines() if line.split("#")[0].rstrip().endswith(": null")]
    lines = set(merged.splitlines())
    assert not [
        line for line in kept if line not in lines and line.split(":")[0].strip() not in touched
    ]
    assert presets.merge(merged, read(name)) == (merged, [])


@pytest.fixture(scope="module")
def mixed() -> str:
    """Params over which each preset was laid in turn."""
    text = SHIPPED.replace("class_order: null", "class_order: [Bag, Coat]")
    for name in [*OWN, *RECIPES]:
        text, _ = presets.merge(text, read(name))
    return text


@pytest.mark.parametrize("name", RECIPES)
def test_of_the_presets_used_before_nothing_takes_effect(name: str, mixed: str) -> None:
    after = parse_params(presets.merge(mixed, read(name))[0], name)
    alone = over_shipped(name)[0]
    # The report shows all params, also those that nothing uses.
    plans = [{**resolve(params).by_file(), "report": None} for params in (after, alone)]
    assert plans[0] == plans[1]
    assert after.train == alone.train


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_two_steps(name: str) -> None:
    """The recipe's own network, objective, distillation, views and optimizer; few images."""
    twin = name.replace("_data_", "_")
    if twin != name and step_plan(twin) == step_plan(name):
        return  # the class-incremental recipe takes the same steps, in its own test
    params = over_shipped(name)[0]
    plan = resolve(params).train[2]
    size = 32 if name.startswith(("cifar", "own_images_small")) else 64
    torch.manual_seed(0)
    sizes = {"image_size": size} if "image_size" in plan.backbone.options else {}
    backbone = build_backbone(replace(plan.backbone, options={**plan.backbone.options, **sizes}))
    method = load_class(METHODS[params.method].path, Method)(
        backbone, **options_of(params, "method", params.method)
    )
    strategy = load_class(STRATEGIES[params.strategy].path, Strategy)(
        **options_of(params, "strategy", params.strategy)
    )
    strategy.begin_task(task_start(method))
    augment = Augment(plan.views, size, [0.5] * 3, [0.25] * 3)
    optimization = build_optimization(plan.train)
    optimizer = build_optimizer([method, strategy], optimization)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=generator)
    before = {key: value.clone() for key, value in method.named_parameters()}
    method.train()
    strategy.train()
    for number in range(2):
        at = Position(number, 1, optimization.epochs)
        views = augment(images, generator)
        encoded = method.encode(views)
        step = Step(method, views, encoded, at)
        loss = method.loss(views, encoded) + strategy.terms(step)["distill"]
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        method.after_backward(at)
        optimizer.step()
        method.after_step(Position(number + 1, 1, optimization.epochs))
    assert all(value.isfinite().all() for value in method.state_dict().values())
    frozen = {"prototypes.weight", "prototypes.lengths"} if params.method == "swav" else set()
    unmoved = {key for key, value in method.named_parameters() if torch.equal(value, before[key])}
    assert unmoved == frozen


@pytest.fixture
def project(project: Project) -> Project:
    (project.root / "presets").mkdir()
    for name in NAMES:
        (project.root / f"presets/{name}.yaml").write_text(read(name))
    return project


def test_presets_are_listed_shown_and_used(project: Project) -> None:
    listed = project.must("preset", "list").splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert "SwAV with CaSSLe on CIFAR-100" in "\n".join(listed)
    assert project.must("preset", "show", "cifar100_byol") == read("cifar100_byol")
    said = project.must("preset", "use", "cifar100_byol")
    assert "dataset: fashion_mnist -> cifar100" in said
    assert "augment.solarize: 0.0 -> [0.0, 0.2]" in said
    params = load_params(PARAMS)
    assert (params.method, params.train.learning_rate) == ("byol", 1.0)
    assert project.must("preset", "use", "cifar100_byol") == "params.yaml is as it was\n"


def test_a_preset_may_begin_with_the_mark_of_an_editor(project: Project) -> None:
    Path("presets/mine.yaml").write_text("# My own.\nseed: 3\n", encoding="utf-8-sig")
    assert "mine                       My own." in project.must("preset", "list")
    assert "seed: 0 -> 3" in project.must("preset", "use", "mine")


def test_the_published_order_is_the_references_permutation_and_cuts_its_tasks(
    project: Project,
) -> None:
    torch.manual_seed(5)
    published = torch.randperm(100)
    before = len(PARAMS.read_text().splitlines())
    project.must("preset", "use", "cifar100_byol", "--published-order")
    assert len(PARAMS.read_text().splitlines()) < before + 20  # the list is not a line a class
    params = load_params(PARAMS)
    assert params.class_order == published.tolist()
    groups = group_classes(CIFAR100_CLASSES, 5, params.split_seed, params.class_order)
    assert groups == [sorted(task.tolist()) for task in published.chunk(5)]
    project.must("preset", "use", "cifar100_byol")
    assert load_params(PARAMS).class_order is None


@pytest.mark.parametrize("name", ["domainnet_byol", "cifar100_data_byol", "own_images"])
def test_where_no_order_is_published_that_is_one_clear_error(name: str, project: Project) -> None:
    said = project.refuses("preset", "use", name, "--published-order")
    assert said.startswith("error: --published-order is the order of the 100 classes of cifar100")
    assert f"preset {name} has " in said
    assert said.endswith("use it without")


def test_lists_are_written_on_one_line(project: Project) -> None:
    project.must("preset", "use", "cifar100_byol")
    assert "\n  solarize: [0.0, 0.2]\n" in PARAMS.read_text()


def test_an_unknown_preset_is_one_clear_error_and_changes_nothing(project: Project) -> None:
    before = PARAMS.read_bytes()
    code, _, err = project.cassle("preset", "use", "cifar100_biol")
    assert code == 2
    assert err.startswith("error: preset: 'cifar100_biol' is unknown; did you mean 'cifar100_byol'")
    assert PARAMS.read_bytes() == before


def test_a_preset_of_ones_own_need_name_no_data_set(project: Project) -> None:
    (project.root / "presets/longer.yaml").write_text("train:\n  epochs: 7\n")
    assert "longer" not in presets.list_published()
    (project.root / "presets/empty.yaml").write_text("")
    assert "empty" in project.must("preset", "list")
    project.must("preset", "use", "longer")
    assert load_params(project.root / PARAMS).train.epochs == 7


def test_params_that_are_no_text_are_one_clear_error(project: Project) -> None:
    (project.root / PARAMS).write_bytes(b"\xff")
    said = project.refuses("preset", "use", "cifar100_byol")
    assert said.startswith("error: params.yaml cannot be read")


def test_a_preset_that_does_not_fit_changes_nothing(project: Project) -> None:
    Path("presets/wrong.yaml").write_text("# Wrong\ntrain:\n  epochs: 1\n  warmup_epochs: 5\n")
    before = PARAMS.read_bytes()
    code, _, err = project.cassle("preset", "use", "wrong")
    assert code == 2
    assert "params.yaml with preset wrong: train.warmup_epochs must be below epochs" in err
    assert PARAMS.read_bytes() == before


def test_a_linked_params_file_is_written_through_its_link(project: Project) -> None:
    PARAMS.rename("shared.yaml")
    PARAMS.symlink_to("shared.yaml")
    project.must("preset", "use", "cifar100_byol")
    assert PARAMS.is_symlink()
    assert load_params(Path("shared.yaml")).method == "byol"


def test_outside_of_a_project_it_is_said_where_presets_are(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    for command in ("list", "cost"):
        code, out, err = project.cassle("preset", command)
        assert (code, out) == (2, "")
        assert f"there are no presets in {elsewhere / 'presets'}; " in err
        assert f"this program's are in {ROOT / 'presets'}; run this in the project's root" in err


def test_without_the_folder_the_error_says_where_to_go(project: Project) -> None:
    for path in Path("presets").iterdir():
        path.unlink()
    with pytest.raises(ParamsError, match="run this in the project's root"):
        presets.read_preset("cifar100_byol")
