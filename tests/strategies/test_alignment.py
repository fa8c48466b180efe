"""CLA-E and CLA-R: replayed images are aligned with what the network made of them before."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.config.registry.methods import METHODS
from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.strategies.alignment import LatentAlignment, mean_cosine_over_views
from pipeline.strategies.base import Step
from pipeline.strategies.cla_e import CLAE
from pipeline.strategies.cla_r import CLAR
from pipeline.strategies.composite import Composite
from pipeline.strategies.er import ExperienceReplay
from pipeline.strategies.memories.choice import MEMORIES, MemoryKind
from pipeline.training.passed_images import PassedImages
from tests.support.networks import shake, streams, task_start, tiny_images, tiny_method

SIZE = 8
PASSES, MINIBATCHES = 2, 6


def position(step: int) -> Position:
    return Position(step, 1, PASSES * MINIBATCHES, minibatches=MINIBATCHES)


def cla_e(kind: MemoryKind = "fifo", size: int = 20, **changes: float) -> CLAE:
    given = {"batch_share": 0.5, "weight": 2.0, "momentum": 0.9} | changes
    return CLAE(memory=kind, memory_size=size, aligner_hidden=8, **given)


def cla_r(kind: MemoryKind = "fifo", size: int = 20, **changes: float) -> CLAR:
    given = {"batch_share": 0.5, "weight": 2.0} | changes
    return CLAR(memory=kind, memory_size=size, aligner_hidden=8, **given)


BOTH = pytest.mark.parametrize("build", [cla_e, cla_r])
Build = Callable[..., LatentAlignment]


def begin(strategy: LatentAlignment, method: Method, **changes: object) -> LatentAlignment:
    torch.manual_seed(0)  # of the aligner's weights
    dtype = next(method.parameters()).dtype

    def augment(batch: Tensor, stream: torch.Generator) -> Views:
        noise = torch.rand(2, *batch.shape, generator=stream)
        return tuple((batch / 255 + noise).to(dtype))

    given: dict[str, object] = {"task": 1, "batch_size": SIZE, "online": True, "augment": augment}
    strategy.begin_task(task_start(method, tiny_images(0), **(given | changes)))
    return strategy


def observe(strategy: LatentAlignment, method: Method, step: int, at: Position) -> Step:
    """Go as far as the network's outputs of the step, on minibatch ``step // PASSES``."""
    images = tiny_images(SIZE, step // PASSES)
    strategy.observe(images, at)
    dtype = next(method.parameters()).dtype
    noise = torch.rand(2, *images.shape, generator=streams("views", step))
    first, second = (images / 255 + noise).to(dtype)
    views = strategy.mix((first, second), at)
    return Step(method, views, method.encode(views), at)


def take_step(strategy: LatentAlignment, method: Method, step: int) -> Tensor:
    """One step without the optimizer's; return the term."""
    (term,) = strategy.terms(observe(strategy, method, step, position(step))).values()
    with torch.no_grad():
        strategy.after_step(method, position(step + 1))
    return term


def align_by_hand(aligner: nn.Module, z: np.ndarray) -> np.ndarray:
    """a(z), ``(N, D)``: Linear, BatchNorm over these rows, ReLU, Linear."""
    first, norm, _, last = (layer for layer in aligner.children())
    w1, w2 = (layer.get_parameter("weight").detach().double().numpy() for layer in (first, last))
    hidden = z @ w1.T
    variance = ((hidden - hidden.mean(0)) ** 2).mean(0)
    hidden = (hidden - hidden.mean(0)) / np.sqrt(variance + 1e-5)
    gamma, beta = (norm.get_parameter(n).detach().double().numpy() for n in ("weight", "bias"))
    hidden = np.maximum(hidden * gamma + beta, 0)
    return np.asarray(hidden @ w2.T + last.get_parameter("bias").detach().double().numpy())


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(
        [x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) for x, y in zip(a, b, strict=True)]
    )


def in_float64(views: Views) -> list[np.ndarray]:
    return [view.detach().double().numpy() for view in views]


def test_the_mean_over_views_is_half_the_sum_of_both() -> None:
    a, z = (torch.randn(2, 5, 3, generator=streams(name), dtype=torch.float64) for name in "az")
    by_hand = sum(cosines(a[v].numpy(), z[v].numpy()).mean() for v in (0, 1)) / 2
    found = mean_cosine_over_views((a[0], a[1]), (z[0], z[1]))
    torch.testing.assert_close(found, torch.tensor(by_hand))
    assert float(mean_cosine_over_views((a[0],), (3 * a[0],))) == pytest.approx(1.0)
    assert float(mean_cosine_over_views((a[0],), (-a[0],))) == pytest.approx(-1.0)


@BOTH
def test_the_aligner_is_two_layers_with_batchnorm_between(build: Build) -> None:
    strategy = begin(build(), tiny_method("simclr"))
    kinds = [type(layer) for layer in strategy.aligner.children()]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    first, _, _, last = strategy.aligner.children()
    assert dict(first.named_parameters()).keys() == {"weight"}
    assert first.get_parameter("weight").shape == (8, 6)
    assert last.get_parameter("weight").shape == (6, 8)


def test_the_term_of_cla_e_is_as_by_hand() -> None:
    method = tiny_method("simclr").double().eval()
    strategy = begin(cla_e(), method).double()
    for step in range(4):
        take_step(strategy, method, step)
    shake(method, 0.1)
    step = observe(strategy, method, 4, position(4))
    # Behind the 8 images of the minibatch lie 4 of the 16 in the memory.
    slow = copy.deepcopy(strategy.teacher)
    assert isinstance(slow, Method)
    replayed = (step.views[0][8:], step.views[1][8:])
    assert len(replayed[0]) == 4
    targets = in_float64(slow.encode(replayed).projections)
    z = in_float64(step.encoded.projections)
    aligned = align_by_hand(strategy.aligner, np.concatenate([z[0][8:], z[1][8:]]))
    by_hand = -2.0 * cosines(aligned, np.concatenate(targets)).mean()
    (term,) = strategy.terms(step).values()
    assert term.item() == pytest.approx(by_hand, rel=1e-9)


def test_the_term_of_cla_r_is_as_by_hand_and_its_targets_move_by_halves() -> None:
    method = tiny_method("simclr").double().eval()
    strategy = begin(cla_r(), method).double()
    assert isinstance(strategy, CLAR)
    expected: dict[int, np.ndarray] = {}
    for number in range(7):
        at = position(number)
        held = len(strategy.memory)
        step = observe(strategy, method, number, at)
        z = in_float64(step.encoded.projections)
        (term,) = strategy.terms(step).values()
        if held:
            places = strategy.memory.draw_indices(4, streams("cla_r", number)).tolist()
            aligned = align_by_hand(strategy.aligner, np.concatenate([z[0][8:], z[1][8:]]))
            stored = np.stack([expected[place] for place in places])
            by_hand = -2.0 * cosines(aligned, np.concatenate([stored, stored])).mean()
            assert term.item() == pytest.approx(by_hand, rel=1e-5)
            for row, place in enumerate(places):
                mean = (z[0][8 + row] + z[1][8 + row]) / 2
                expected[place] = expected[place] / 2 + mean / 2
        with torch.no_grad():
            strategy.after_step(method, position(number + 1))
        if number % PASSES:  # the last pass on a minibatch: its images come into the memory
            for row in range(SIZE):
                expected[(number // PASSES * SIZE + row) % 20] = (z[0][row] + z[1][row]) / 2
        shake(method, 0.05)
    found = strategy.targets.numpy()
    np.testing.assert_allclose(found, [expected[place] for place in range(20)], rtol=1e-5)


def test_the_network_of_cla_e_follows_by_a_moving_average_after_each_step() -> None:
    method = tiny_method("byol").train()
    strategy = begin(cla_e(momentum=0.9), method)
    teacher = strategy.teacher
    assert isinstance(teacher, Method)
    parts = ("backbone", "projector")
    expected = {
        f"{part}.{name}": p.detach().clone()
        for part in parts
        for name, p in method.get_submodule(part).named_parameters()
    }
    assert dict(teacher.named_parameters()).keys() == expected.keys()
    for step in range(4):
        shake(method, 0.1)
        take_step(strategy, method, step)
        for name, p in method.named_parameters():
            if name in expected:
                expected[name] = 0.9 * expected[name] + 0.1 * p.detach()
        for name, p in teacher.named_parameters():
            torch.testing.assert_close(p, expected[name], msg=name)
            assert not p.requires_grad
    assert not any(module.training for module in teacher.modules())


@BOTH
def test_a_gradient_step_brings_replayed_images_nearer_to_their_targets(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(weight=1.0), method)
    take_step(strategy, method, 0)
    take_step(strategy, method, 1)
    shake(method, 0.1)
    frozen = copy.deepcopy(strategy)
    trained = [*method.parameters(), *frozen.aligner.parameters()]
    optimizer = torch.optim.SGD(trained, 0.1)
    terms = []
    for _ in range(10):
        again = copy.deepcopy(frozen)  # the memory and its targets as they were
        again.aligner = frozen.aligner
        (term,) = again.terms(observe(again, method, 2, position(2))).values()
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        terms.append(term.item())
    assert terms[-1] < terms[0] - 0.05


@BOTH
def test_only_replayed_images_are_aligned(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method)
    for number in range(2):
        take_step(strategy, method, number)
    step = observe(strategy, method, 2, position(2))
    projections = tuple(z.detach().requires_grad_() for z in step.encoded.projections)
    now = Step(method, step.views, Encoded(step.encoded.features, projections), step.at)
    (term,) = strategy.terms(now).values()
    term.backward()
    for z in projections:
        assert z.grad is not None
        assert not z.grad[:SIZE].any()
        assert z.grad[SIZE:].abs().sum(dim=1).all()


def test_no_gradient_flows_into_targets() -> None:
    method = tiny_method("simclr").train()
    strategy = begin(cla_e(), method)
    for number in range(3):
        term = take_step(strategy, method, number)
    term.backward()
    assert strategy.teacher is not None
    assert all(p.grad is None for p in strategy.teacher.parameters())
    assert all(p.grad is not None for p in strategy.aligner.parameters())


@BOTH
def test_as_long_as_nothing_has_come_the_term_is_0_and_trains_nothing(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method)
    step = observe(strategy, method, 0, position(0))
    assert len(step.views[0]) == SIZE
    (term,) = strategy.terms(step).values()
    assert term.item() == 0.0
    term.backward()
    gradients = [p.grad for p in strategy.aligner.parameters()]
    assert all(grad is not None and not grad.any() for grad in gradients)


@BOTH
@pytest.mark.parametrize("changes", [{"size": 0}, {"batch_share": 0.0}])
def test_without_a_memory_it_is_finetune(build: Build, changes: dict[str, float]) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(**changes), method)
    images = tiny_images(SIZE)
    strategy.observe(images, position(0))
    views = (images / 255, images / 255)
    assert strategy.mix(views, position(0)) is views
    step = Step(method, views, method.encode(views), position(0))
    assert strategy.terms(step) == {}
    strategy.after_step(method, position(2))


@BOTH
def test_where_images_pass_in_epochs_each_comes_into_the_memory_in_the_first(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method, online=False)
    held = []
    for number in range(6):
        step = observe(strategy, method, 2 * (number % 2), Position(number, 2, 6))
        strategy.terms(step)
        strategy.after_step(method, Position(number + 1, 2, 6))
        held.append(int(strategy.memory.seen))
    assert held == [8, 16, 16, 16, 16, 16]


@BOTH
def test_all_parts_of_a_batch_come_into_the_memory(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method, online=False)
    came = []
    for part in range(2):
        images = tiny_images(4, seed=part)
        at = Position(0, 2, 2, part=part, parts=2)
        strategy.observe(images, at)
        views = strategy.mix((images / 255, images / 255), at)
        strategy.terms(Step(method, views, method.encode(views), at))
        came.append(images)
    strategy.after_step(method, Position(1, 2, 2))
    assert torch.equal(strategy.memory.images, torch.cat(came))


@BOTH
def test_the_count_of_images_is_what_passes_backward_once_the_memory_is_full(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method)
    passed = PassedImages()
    passed.watch(nn.ModuleDict({"method": method, "strategy": strategy}), strategy)
    each, before = [], 0
    for step in range(6):
        take_step(strategy, method, step)
        each.append(passed.backward - before)
        before = passed.backward
    assert each == [16, 16, *[strategy.count_images(SIZE, 2)] * 4]
    assert each[-1] == 24


@pytest.mark.parametrize("kind", MEMORIES)
@BOTH
def test_a_stream_in_two_tasks_is_a_stream_in_one(build: Build, kind: MemoryKind) -> None:
    """But for what is drawn, which is each task's own: here both tasks draw alike."""
    method = tiny_method("simclr").eval()
    shaken = copy.deepcopy(method)
    shake(shaken, 0.1)
    whole = begin(build(kind), method)
    first = begin(build(kind), method)
    for step in range(4):
        take_step(whole, shaken, step)
        take_step(first, shaken, step)
    second = begin(build(kind), method, task=2, carried=first.carried())
    for step in range(4, 8):
        take_step(whole, shaken, step)
        take_step(second, shaken, step)
    assert second.carried().keys() == whole.carried().keys()
    for key, value in whole.carried().items():
        torch.testing.assert_close(second.carried()[key], value, msg=key)


@BOTH
@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_projections_to_align(name: str, build: Build) -> None:
    method = tiny_method(name).train()
    strategy = begin(build(), method)
    terms = [take_step(strategy, method, step).item() for step in range(4)]
    assert all(-2.0 <= term <= 2.0 for term in terms)
    assert terms[2] != 0


@BOTH
def test_what_another_strategy_carried_is_refused(build: Build) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(), method)
    take_step(strategy, method, 0)
    take_step(strategy, method, 1)
    carried = strategy.carried()
    name = "targets" if build is cla_r else "teacher.backbone.stem.0.weight"
    problems = {
        "memory holds 7 images": {"images": carried["images"][:7]},
        "aligner.0.weight": {"aligner.0.weight": None},
        f"{name} is missing": {name: None},
        "stranger is unknown": {"stranger": torch.zeros(1)},
    }
    for message, changes in problems.items():
        given = {key: t for key, t in (carried | changes).items() if t is not None}
        with pytest.raises(ValueError, match=message):
            begin(build(), method, carried=given)
    if build is cla_r:
        with pytest.raises(ValueError, match=r"targets are \(8, 5\), expected \(8, 6\)"):
            begin(build(), method, carried=carried | {"targets": torch.zeros(8, 5)})


def test_in_a_composition_each_aligns_its_own_images() -> None:
    method = tiny_method("simclr").train()
    replay = ExperienceReplay(memory="fifo", memory_size=20, batch_share=0.5)
    together = Composite({"er": replay, "cla_e": cla_e(), "cla_r": cla_r()})
    torch.manual_seed(0)
    together.begin_task(task_start(method, tiny_images(0), task=1, batch_size=SIZE, online=True))
    for number in range(4):
        at, images = position(number), tiny_images(SIZE, number // PASSES)
        together.observe(images, at)
        views = together.mix((images / 255, images / 255), at)
        step = Step(method, views, method.encode(views), at)
        terms = together.terms(step)
        together.after_step(method, position(number + 1))
    assert terms.keys() == {"cla_e", "cla_r"}
    # Each replays a half of the stream's 8, whatever others have appended.
    assert len(views[0]) == 8 + 4 + 4 + 4
    assert together.count_images(8, 2) == 2 * len(views[0])
    aligning = together.parts["cla_r"]
    assert isinstance(aligning, CLAR)
    assert torch.equal(aligning.memory.images, replay.memory.images)
    mean = (step.encoded.projections[0] + step.encoded.projections[1])[:SIZE].detach() / 2
    torch.testing.assert_close(aligning.targets[SIZE:], mean)


@BOTH
@pytest.mark.parametrize("given", [{"size": 0}, {"batch_share": 0.0}])
def test_without_replay_no_parameter_waits_for_a_gradient(
    build: Build, given: dict[str, float]
) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(build(**given), method)
    assert not any(parameter.requires_grad for parameter in strategy.parameters())
    assert strategy.terms(observe(strategy, method, 0, position(0))) == {}
