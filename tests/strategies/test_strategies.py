"""Every strategy with every method, through the pipeline; and strategies composed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import layout
from pipeline.building.components import load_class
from pipeline.building.stand_in import begin_stand_in
from pipeline.building.views import build_augment
from pipeline.config.read import load_params
from pipeline.config.registry.methods import METHODS
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.resolve import resolve
from pipeline.files.csv_tables import read_csv
from pipeline.methods.base import Method, Position
from pipeline.seeding import generator
from pipeline.strategies.base import Step, Strategy
from pipeline.strategies.composite import Composite
from pipeline.strategies.er import ExperienceReplay
from pipeline.strategies.ewc import EWC
from pipeline.strategies.less_forget import LessForget
from pipeline.strategies.lump import Lump
from pipeline.strategies.offline import Offline
from tests.support.networks import draw_views, task_start, tiny_images, tiny_method
from tests.support.params import Changes
from tests.support.project import Project

# Each strategy with each method that it is defined for.
PAIRS = [
    (strategy, method)
    for strategy, entry in STRATEGIES.items()
    if not entry.whole_stream
    for method in entry.methods or METHODS
]
REFUSED = [
    (strategy, next(method for method in METHODS if method not in entry.methods))
    for strategy, entry in STRATEGIES.items()
    if entry.methods
]
COMPOSED = ["cassle+er", "er+der", "ewc+less_forget+lump", "pfr+der"]
FIRST: dict[str, str] = {}


@pytest.fixture
def project(project: Project) -> Project:
    # Networks, queues and memories of a few numbers; batches smaller than every task.
    project.set(
        {
            "strategies.er.memory_size": 20,
            "strategies.der.memory_size": 20,
            "strategies.lump.memory_size": 20,
            "strategies.cla_e.memory_size": 20,
            "strategies.cla_r.memory_size": 20,
            "strategies.osiris.memory_size": 20,
            "strategies.pnr.predictor_hidden": 16,
            "strategies.ewc.fisher_batches": 2,
            "methods.mocov2plus.queue_size": 24,
            "methods.swav.queue_size": 24,
            "methods.swav.num_prototypes": 10,
            "methods.mocov2plus.projector": [16, 8],
            "methods.byol.projector": [16, 8],
            "methods.barlow_twins.projector": [16, 8],
            "methods.vicreg.projector": [16, 8],
            "methods.swav.projector": [16, 8],
            "methods.simsiam.projector": [16, 8],
            "methods.dino.projector": [16, 8],
            "methods.dino.num_prototypes": 10,
        }
    )
    return project


def overriding(strategy: str, method: str) -> list[str]:
    """The names of the strategies composed that override a method of the contract.

    The terms of er are none: there it looks at what it has replayed.
    """
    names = [name for name in strategy.split("+") if (name, method) != ("er", "terms")]
    inherited = getattr(Strategy, method)
    classes = {name: load_class(STRATEGIES[name].path, object) for name in names}
    return [name for name in names if getattr(classes[name], method) is not inherited]


def terms_of(strategy: str) -> set[str]:
    """What a strategy adds to the log of a later task: terms of its name, but CaSSLe's."""
    named = {"cassle": {"distill"}, "pocon": {"expert", "past"}}
    named |= {"osiris": {"osiris_cross", "osiris_past"}}
    return {term for name in overriding(strategy, "terms") for term in named.get(name, {name})}


def choose(project: Project, strategy: str, method: str = "simclr") -> None:
    project.set({"strategy": strategy, "method": method})


@pytest.mark.parametrize(
    ("strategy", "method"), [*PAIRS, *(("cassle+er", method) for method in METHODS)]
)
def test_three_tasks_run_and_the_first_is_finetunes(
    strategy: str, method: str, project: Project
) -> None:
    choose(project, "finetune", method)
    project.trained(1)
    first = layout.state(1).read_bytes()
    choose(project, strategy, method)
    project.train_through(3)
    # Task 1 is a strategy's own where it acts from the first step on.
    own = STRATEGIES.get(strategy, STRATEGIES["finetune"]).from_first_task
    assert (layout.state(1).read_bytes() == first) != own
    rows = read_csv(layout.log(3))
    assert set(rows[0]) == set(read_csv(layout.log(1))[0]) | terms_of(strategy)
    assert not own or terms_of(strategy) < set(read_csv(layout.log(1))[0])
    last = load_file(layout.state(3))
    assert all(tensor.isfinite().all() for tensor in last.values() if tensor.is_floating_point())
    timing = json.loads(layout.timing(3).read_text())
    assert timing["forward_passes"] >= json.loads(layout.timing(1).read_text())["forward_passes"]
    assert (timing["strategy_bytes"] > 0) == (strategy != "finetune")
    # A batch of 16 and its views; half of it from memory, or what the strategy says.
    shares = {"er": 16, "cassle+er": 16, "der": 8, "osiris": 24, "cla_e": 32, "cla_r": 32}
    replayed = shares.get(strategy, 0)
    assert timing["images_backward"] == timing["steps"] * (32 + replayed)


@pytest.mark.parametrize(("strategy", "method"), PAIRS)
def test_every_loss_is_float32_under_autocast(strategy: str, method: str, project: Project) -> None:
    choose(project, strategy, method)
    plan = resolve(load_params(layout.PARAMS)).train[2]
    size = plan.dataset.image_size
    images = torch.randint(0, 256, (16, 1, size, size), dtype=torch.uint8)
    augment = build_augment(plan.dataset, plan.views)
    network, acting = begin_stand_in(plan, images, augment, 16, "cpu", "test")
    at = Position(0, 1, 2)
    acting.observe(images, at)
    views = acting.mix(augment(images, generator(0, "test")), at)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = network.encode(views)
        losses = acting.losses(Step(network, views, encoded, at))
    assert encoded.features[0].dtype == torch.bfloat16
    assert {name: loss.dtype for name, loss in losses.items()} == dict.fromkeys(
        losses, torch.float32
    )


@pytest.mark.parametrize(("strategy", "method"), REFUSED)
def test_a_method_that_a_strategy_is_not_defined_for_is_one_clear_error(
    strategy: str, method: str, project: Project
) -> None:
    choose(project, strategy, method)
    code, _, err = project.cassle("check")
    assert code == 2
    assert err.count("\n") == 1
    allowed = ", ".join(STRATEGIES[strategy].methods)
    assert f"strategy: {strategy} is defined for {allowed}; got method: {method}; choose " in err


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_registry_says_what_has_phases_and_what_cannot_be_composed(strategy: str) -> None:
    entry = STRATEGIES[strategy]
    assert entry.in_phases == bool(overriding(strategy, "begin_phase"))
    alone = [name for name in ("objective", "phases", "begin_phase") if overriding(strategy, name)]
    assert not (alone and entry.composes)


@pytest.mark.parametrize("strategy", COMPOSED)
def test_composed_strategies_train_with_all_their_terms(strategy: str, project: Project) -> None:
    choose(project, strategy)
    project.train_through(3)
    assert terms_of(strategy) <= set(read_csv(layout.log(3))[0])
    carried = {
        key.split(".")[1] for key in load_file(layout.state(2)) if key.startswith("strategy.")
    }
    assert carried == set(overriding(strategy, "carried"))


@pytest.mark.parametrize(
    ("strategy", "passes"),
    # Relative to fine-tuning, at half a memory image for each of the batch: its views, and for
    # der the image itself, which is half of two views.
    [
        ("finetune", 1),
        ("cassle", 2),
        ("er", 1.5),
        ("der", 1.25),
        ("lump", 1),
        ("cassle+er", 3),
        ("ewc", 1),
        ("less_forget", 2),
        ("pfr", 2),
    ],
)
def test_the_cost_is_counted(strategy: str, passes: float, project: Project) -> None:
    choose(project, strategy, "byol")
    project.set({"evaluation.probes": ["nearest_mean"], "evaluation.headline": "nearest_mean"})
    project.run_all(3)
    timings = [json.loads(layout.timing(task).read_text()) for task in (1, 2, 3)]
    # The momentum network sees the views as well, and of memory images whatever is in the views.
    momentum = {"er": 1.5, "cassle+er": 1.5}.get(strategy, 1)
    assert [timing["forward_passes"] for timing in timings] == [2, *[passes + momentum] * 2]
    cost = json.loads((layout.REPORTS / "cost.json").read_text())
    assert cost["forward_passes"] == pytest.approx((passes + momentum) / 2, abs=0.005)
    tensors = load_file(layout.state(3))
    carried = [value for key, value in tensors.items() if key.startswith("strategy.")]
    assert cost["carried_bytes"] == sum(value.nbytes for value in carried)
    assert cost["strategy_bytes"] >= cost["carried_bytes"]
    seconds = sum(timing["seconds"] + timing["look_back_seconds"] for timing in timings)
    assert cost["training_seconds"] == pytest.approx(seconds)
    used = sum(timing["cpu_seconds"] for timing in timings)
    assert used > 0
    assert cost["training_cpu_seconds"] == pytest.approx(used)


def test_the_memory_depends_on_the_seed_alone(project: Project) -> None:
    choose(project, "er")
    project.train_through(3)
    er = load_file(layout.state(3))
    project.set({"strategy": "cassle+der+lump"})
    project.train_through(3)
    others = load_file(layout.state(3))
    for name in ("der", "lump"):
        assert torch.equal(others[f"strategy.{name}.images"], er["strategy.images"])
    assert er["strategy.images"].dtype == torch.uint8
    assert len(er["strategy.images"]) == 20
    project.set({"seed": 1})
    project.trained(3)
    images = load_file(layout.state(3))["strategy.der.images"]
    assert not torch.equal(images, er["strategy.images"])


def test_a_memory_of_nothing_trains_the_network_of_finetune(project: Project) -> None:
    choose(project, "finetune")
    project.train_through(3)
    expected = load_file(layout.state(3))
    project.set(
        {
            "strategy": "er+der+lump",
            "strategies.er.memory_size": 0,
            "strategies.der.memory_size": 0,
            "strategies.lump.memory_size": 0,
        }
    )
    project.train_through(3)
    found = load_file(layout.state(3))
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    "changes", [{"strategies.er.memory_size": 5000}, {"strategies.er.batch_share": 5.0}]
)
def test_any_size_of_memory_and_batch_runs(changes: Changes, project: Project) -> None:
    choose(project, "er")
    project.set(changes)
    project.train_through(3)


def test_a_state_of_another_strategy_is_one_clear_error(project: Project) -> None:
    choose(project, "er")
    project.trained(2)
    project.set({"strategy": "der"})
    project.must("plan")
    before = project.files()
    code, _, err = project.cassle("train", "3")
    assert code == 2
    assert err.count("\n") == 1
    assert 'task_2.safetensors has another strategy than the plan: got "er", expected "der"' in err
    assert "run `cassle train 2` first" in err
    assert project.files() == before


# Offline


def test_offline_learns_all_tasks_at_once(project: Project) -> None:
    choose(project, "offline")
    project.run_all(1)
    assert [row["after_task"] for row in read_csv(layout.REPORTS / "accuracy_matrix.csv")] == (
        ["0"] * 3 + ["3"] * 3
    )
    metrics = json.loads((layout.REPORTS / "metrics.json").read_text())
    assert metrics["average_accuracy"] > 0
    assert metrics["forgetting"] is None
    assert metrics["forward_transfer"] is None
    # 160 images in batches of 16, two epochs.
    assert json.loads(layout.timing(1).read_text())["steps"] == 20
    plan = json.loads(layout.plan("train_2").read_text())
    assert plan is None
    text = (layout.REPORTS / "report.md").read_text()
    assert "after all tasks" in text
    assert "after task" not in text


def test_offline_matched_to_the_stream_sees_as_many_samples(project: Project) -> None:
    choose(project, "finetune")
    project.train_through(3)
    stream = sum(json.loads(layout.timing(task).read_text())["steps"] for task in (1, 2, 3))
    project.set({"strategy": "offline", "strategies.offline.match": "steps"})
    project.train_through(1)
    assert json.loads(layout.timing(1).read_text())["steps"] == stream == 20


@pytest.mark.parametrize(
    ("counts", "batch_size", "epochs", "matched"),
    [
        ([1000] * 5, 100, 60, 60),  # what five tasks see of theirs, one sees of all
        ([250, 250], 100, 10, 8),  # 2 · 10 · 2 steps, five an epoch
        ([100], 100, 7, 7),
        ([110, 110, 110], 100, 1, 1),
    ],
)
def test_epochs_of_offline(counts: list[int], batch_size: int, epochs: int, matched: int) -> None:
    assert Offline(match="epochs").phases(counts, batch_size, epochs) == (epochs,)
    assert Offline(match="steps").phases(counts, batch_size, epochs) == (matched,)


# Composition


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        ("cassle+cassle", "'cassle' is there twice in 'cassle+cassle'"),
        (
            "cassle+finetune",
            "'finetune' does not compose, got 'cassle+finetune'; use 'finetune' or 'cassle'",
        ),
        ("offline+er", "'offline' does not compose, got 'offline+er'; use 'offline' or 'er'"),
        ("cassle+re", "strategy: 're' is unknown"),
        ("cassle+", "strategy: '' is unknown"),
        ("+", "strategy: '' is there twice in '+'"),
    ],
)
def test_strategies_that_do_not_compose_are_one_clear_error(
    strategy: str, problem: str, project: Project
) -> None:
    choose(project, strategy)
    code, _, err = project.cassle("check")
    assert code == 2
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"strategy": "lump+cla_r"}, "got lump+cla_r; use one of the two, or cla_e"),
        ({"strategy": "cla_r+lump"}, "got cla_r+lump; use one of the two, or cla_e"),
        (
            {"strategy": "cassle+er+lump", "strategies.er.memory": "minred"},
            "which lump after it mixes, got cassle+er+lump; use lump+cassle+er",
        ),
        ({"strategy": "lump+er", "strategies.er.memory": "minred"}, None),
        ({"strategy": "er+lump", "strategies.lump.memory": "minred"}, None),
        ({"strategy": "lump+cla_e"}, None),
    ],
)
def test_no_vector_of_a_mixed_image_is_kept_as_that_of_one_image(
    changes: Changes, problem: str | None, project: Project
) -> None:
    project.set(changes)
    if problem is None:
        project.must("plan")
    else:
        assert problem in project.refuses("plan")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # 3 images of a batch of 6, one of a memory of one, and 1 of 6.
        (
            {"strategy": "er"},
            "strategies.er: batch_share 0.5 of 6 images, from a memory of 20, are 3, which do not "
            "divide over 2 processes (train.devices × num_nodes); choose batch_share and "
            "memory_size so that they are 4, say",
        ),
        ({"strategy": "cassle+der", "strategies.der.memory_size": 1}, "of 1, are 1, which"),
        ({"strategy": "cla_r", "strategies.cla_r.batch_share": 0.1}, "so that they are 2, say"),
        ({"strategy": "er", "strategies.er.batch_share": 1.0}, None),
        ({"strategy": "er", "train.devices": 1}, None),
        ({"strategy": "lump"}, None),
    ],
)
def test_replayed_images_have_to_divide_over_the_processes(
    changes: Changes, problem: str | None, project: Project
) -> None:
    project.set({"train.batch_size": 6, "train.devices": 2, **changes})
    if problem is None:
        project.must("plan")
    else:
        assert problem in project.refuses("plan")


def test_the_warm_up_of_a_second_phase_ends_within_it(project: Project) -> None:
    given = {"train.epochs": 20, "train.warmup_epochs": 2.0, "train.head_warmup_epochs": 0}
    project.set({"strategy": "pocon", "strategies.pocon.consolidation": 0.05, **given})
    assert (
        "train.warmup_epochs must be at most 1, the epochs of the second phase "
        "(strategies.pocon.consolidation 0.05 of train.epochs 20), got 2" in project.refuses("plan")
    )
    project.set({"strategies.pocon.consolidation": 0.1})
    project.must("plan")


def composite() -> Composite:
    return Composite(
        {
            "ewc": EWC(weight=1, fisher_batches=1, decay=1),
            "er": ExperienceReplay(memory="reservoir", memory_size=10, batch_share=0.5),
            "lump": Lump(memory="reservoir", memory_size=10, alpha=0.4),
            "less_forget": LessForget(weight=1, teacher_batchnorm="batch"),
        }
    )


def test_parts_of_a_composition_do_what_they_do_alone() -> None:
    method = tiny_method("simclr").train()
    together = composite()
    together.begin_task(task_start(method))
    views, at = draw_views(8), Position(3, 4, 8)
    alone = dict(composite()._all())
    for part in alone.values():
        part.begin_task(task_start(method))
    for strategy in (together, *alone.values()):
        strategy.observe(tiny_images(8), at)
    mixed = alone["lump"].mix(alone["er"].mix(views, at), at)
    assert all(map(torch.equal, together.mix(views, at), mixed))
    step = Step(method, mixed, method.encode(mixed), at)
    terms = together.terms(step)
    assert list(terms) == ["ewc", "less_forget"]
    for name, term in terms.items():
        torch.testing.assert_close(term, alone[name].terms(step)[name])
    carried = {
        f"{name}.{key}": value
        for name, part in alone.items()
        for key, value in part.carried().items()
    }
    assert together.carried().keys() == carried.keys()
    assert all(torch.equal(together.carried()[key], value) for key, value in carried.items())


def test_er_and_lump_draw_apart() -> None:
    method = tiny_method("simclr")
    replay, mixing = (
        ExperienceReplay(memory="reservoir", memory_size=40, batch_share=1),
        Lump(memory="reservoir", memory_size=40, alpha=1),
    )
    drawn: list[Tensor] = []
    for strategy in (replay, mixing):

        def augment(batch: Tensor, stream: torch.Generator) -> tuple[Tensor, ...]:
            drawn.append(batch)
            return batch / 255, batch / 255

        strategy.begin_task(task_start(method, augment=augment))
        strategy.observe(tiny_images(8), Position(0, 4, 8))
        strategy.mix(draw_views(8), Position(0, 4, 8))
    assert not torch.equal(*drawn)


def test_a_composition_takes_over_only_its_own() -> None:
    method = tiny_method("simclr")
    together = composite()
    together.begin_task(task_start(method))
    carried = together.carried()
    images = tiny_images(40, seed=3)
    composite().begin_task(task_start(method, images, carried=carried))
    with pytest.raises(ValueError, match="tensors of cassle are unknown"):
        composite().begin_task(task_start(method, carried=carried | {"cassle.w": images}))
    renamed = {key.replace("fisher", "f"): value for key, value in carried.items()}
    with pytest.raises(ValueError, match="fisher is missing"):
        composite().begin_task(task_start(method, carried=renamed))


def test_teachers_in_a_composition_stay_in_eval_mode() -> None:
    method: Method = tiny_method("simclr")
    together = composite()
    together.begin_task(task_start(method))
    together.train()
    part = together.parts["less_forget"]
    assert isinstance(part, Strategy)
    assert part.teacher is not None
    assert not any(module.training for module in part.teacher.modules())
    assert part.training
