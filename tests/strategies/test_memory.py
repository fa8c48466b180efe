"""er, der and lump in a stream that is seen once: what comes into their memories, and when."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from pipeline.config.option_types import Memory as MemoryOption
from pipeline.methods.base import Encoded, Method, Position
from pipeline.strategies.base import Step, Strategy
from pipeline.strategies.der import DarkExperienceReplay
from pipeline.strategies.er import ExperienceReplay
from pipeline.strategies.lump import Lump
from pipeline.strategies.memories.choice import MEMORIES, MemoryKind
from pipeline.strategies.memory import MemoryStrategy
from pipeline.training.passed_images import PassedImages
from tests.support.networks import draw_views, shake, streams, task_start, tiny_images, tiny_method

PASSES, MINIBATCHES, SIZE = 2, 4, 8

Build = Callable[[MemoryKind], MemoryStrategy]
BUILDS: dict[str, Build] = {
    "er": lambda kind: ExperienceReplay(memory=kind, memory_size=20, batch_share=0.5),
    "der": lambda kind: DarkExperienceReplay(
        memory=kind, memory_size=20, batch_share=0.5, weight=1.0
    ),
    "lump": lambda kind: Lump(memory=kind, memory_size=20, alpha=0.4),
}
ALL = pytest.mark.parametrize("name", BUILDS)
KINDS = pytest.mark.parametrize("kind", MEMORIES)


def position(step: int) -> Position:
    return Position(step, 1, PASSES * MINIBATCHES, minibatches=MINIBATCHES)


def begin(name: str, kind: MemoryKind, method: Method, **changes: object) -> MemoryStrategy:
    strategy = BUILDS[name](kind)
    given: dict[str, object] = {"batch_size": SIZE, "online": True} | changes
    strategy.begin_task(task_start(method, tiny_images(0), **given))
    return strategy


def take_step(strategy: Strategy, method: Method, images: Tensor, step: int) -> dict[str, Tensor]:
    """One step on a minibatch, without the optimizer's; return the strategy's terms."""
    at = position(step)
    strategy.observe(images, at)
    views = strategy.mix((images / 255, images / 255), at)
    terms = strategy.terms(Step(method, views, method.encode(views), at))
    with torch.no_grad():
        strategy.after_step(method, position(step + 1))
    return terms


def see(strategy: Strategy, method: Method, steps: range, seed: int = 0) -> None:
    for step in steps:
        take_step(strategy, method, tiny_images(SIZE, seed + step // PASSES), step)


def as_bytes(images: Tensor) -> set[bytes]:
    return {bytes(image.numpy()) for image in images}


def test_params_can_name_each_memory() -> None:
    assert get_args(MemoryOption) == get_args(MemoryKind) == tuple(MEMORIES)


@KINDS
@ALL
def test_a_minibatch_comes_into_the_memory_once_after_its_last_pass(
    name: str, kind: MemoryKind
) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(name, kind, method)
    held, seen = [], []
    for step in range(6):
        take_step(strategy, method, tiny_images(SIZE, step // PASSES), step)
        held.append(len(strategy.memory))
        seen.append(int(strategy.memory.seen))
    assert held == [0, 8, 8, 16, 16, 20]
    assert seen == [0, 8, 8, 16, 16, 24]
    came = torch.cat([tiny_images(SIZE, seed) for seed in range(3)])
    assert as_bytes(strategy.memory.images) <= as_bytes(came)


@ALL
def test_nothing_is_replayed_before_something_has_come(name: str) -> None:
    method, images = tiny_method("simclr").train(), tiny_images(SIZE)
    strategy = begin(name, "fifo", method)
    views = (images / 255, images / 255)
    strategy.observe(images, position(0))
    assert strategy.mix(views, position(0)) is views
    terms = strategy.terms(Step(method, views, method.encode(views), position(0)))
    # The columns of the log are the same from the first step on.
    assert [(key, float(term)) for key, term in terms.items()] == [("der", 0.0)] * (name == "der")


@KINDS
@ALL
def test_a_stream_in_two_tasks_is_a_stream_in_one(name: str, kind: MemoryKind) -> None:
    """But for what is drawn, which is each task's own: here both tasks draw alike."""
    method = tiny_method("simclr").eval()  # whose statistics no step moves
    whole = begin(name, kind, method)
    see(whole, method, range(4))
    first = begin(name, kind, method)
    see(first, method, range(2))
    second = begin(name, kind, method, task=3, carried=first.carried())
    see(second, method, range(2, 4))
    assert second.carried().keys() == whole.carried().keys()
    for key, value in whole.carried().items():
        torch.testing.assert_close(second.carried()[key], value, msg=key)


@pytest.mark.parametrize("name", ["er", "der"])
def test_the_count_of_images_is_what_passes_backward_once_the_memory_is_full(name: str) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(name, "fifo", method)
    counted = strategy.count_images(SIZE, 2)
    passed = PassedImages()
    passed.watch(nn.ModuleDict({"method": method, "strategy": strategy}), strategy)
    before, each = 0, []
    for step in range(8):
        take_step(strategy, method, tiny_images(SIZE, step // PASSES), step)
        each.append(passed.backward - before)
        before = passed.backward
    # At a share of one half: 4 images from memory, in two views, or as they are.
    assert each == [16, 16, *[counted] * 6]
    assert counted == {"er": 24, "der": 20}[name]


def test_der_projects_an_image_by_the_network_that_it_has_just_trained() -> None:
    method = tiny_method("simclr").eval()
    strategy = begin("der", "fifo", method)
    assert isinstance(strategy, DarkExperienceReplay)
    see(strategy, method, range(2))
    with torch.no_grad():
        early = method.encode((strategy.memory.images / 255,)).projections[0]
    shake(method, 0.2)
    see(strategy, method, range(2, 4))
    with torch.no_grad():
        late = method.encode((strategy.memory.images / 255,)).projections[0]
    torch.testing.assert_close(strategy.projections, torch.cat([early, late[SIZE:]]))


def test_er_tells_minred_how_the_network_sees_replayed_images_now() -> None:
    method = tiny_method("simclr").train()
    strategy = begin("er", "minred", method)
    see(strategy, method, range(2))
    before = strategy.memory.get_buffer("features").clone()
    at = position(2)
    strategy.observe(tiny_images(SIZE, 1), at)
    views = strategy.mix(draw_views(SIZE), at)
    # Projections that say which image they are of: rows behind the batch's are replayed.
    z = torch.zeros(2, len(views[0]), 6)
    z[0, SIZE:, 0] = z[1, SIZE:, 1] = 3.0
    strategy.terms(Step(method, views, Encoded((), (z[0], z[1])), at))
    places = strategy.memory.draw_indices(4, streams("er", 2))
    toward = torch.tensor([0.5**0.5, 0.5**0.5, 0, 0, 0, 0])
    expected = before.clone()
    for place in places.tolist():
        moved = (before[place] + toward) / 2
        expected[place] = moved / moved.norm()
    torch.testing.assert_close(strategy.memory.get_buffer("features"), expected)


def test_minred_looks_back_at_the_task_before() -> None:
    method = tiny_method("simclr")
    strategy = BUILDS["er"]("minred")
    strategy.begin_task(task_start(method, tiny_images(40)))
    method.eval()
    with torch.no_grad():
        z = method.encode((strategy.memory.images / 255,)).projections[0]
    expected = z / z.norm(dim=1, keepdim=True)
    torch.testing.assert_close(strategy.memory.get_buffer("features"), expected)
    assert len(strategy.memory) == 20


@ALL
def test_a_memory_of_another_kind_is_refused(name: str) -> None:
    method = tiny_method("simclr").train()
    strategy = begin(name, "minred", method)
    see(strategy, method, range(2))
    with pytest.raises(ValueError, match="features is unknown"):
        begin(name, "fifo", method, carried=strategy.carried())


def test_a_share_of_a_small_minibatch_may_be_many_times_of_it() -> None:
    strategy = ExperienceReplay(memory="fifo", memory_size=2000, batch_share=12.8)
    strategy.begin_task(task_start(tiny_method("simclr"), tiny_images(0), online=True))
    assert strategy.count_images(10, 2) == 2 * (10 + 128)


def by_value(count: int) -> Tensor:
    """Images that come class by class: the first half is dark, the second light."""
    return (torch.arange(count) >= count // 2)[:, None, None, None].byte().expand(-1, 1, 8, 8) * 200


@ALL
def test_of_a_task_whose_images_come_class_by_class_a_queue_holds_all_classes(name: str) -> None:
    method = tiny_method("simclr").train()
    held = []
    for kind in ("fifo", "reservoir"):
        strategy = BUILDS[name](kind)
        strategy.begin_task(task_start(method, by_value(200), batch_size=SIZE))
        held.append(strategy.memory.images)
        assert 3 <= int((strategy.memory.images[:, 0, 0, 0] > 0).sum()) <= 17
    # Of the reservoir every order holds as much: it is filled from the images as they are.
    plain = MEMORIES["reservoir"](20)
    plain.insert(by_value(200), streams("reservoir"), lambda images: images)
    assert torch.equal(held[1], plain.images)


def test_in_bfloat16_too_projections_are_compared_in_float32() -> None:
    method = tiny_method("simclr").train()
    with torch.no_grad():
        shake(method, 0.1)
    strategy = BUILDS["der"]("reservoir")
    strategy.begin_task(task_start(method, tiny_images(40), batch_size=SIZE))
    views = draw_views(SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = copy.deepcopy(method).encode(views)  # BatchNorm's statistics stay
        terms = strategy.terms(Step(method, views, encoded, position(0)))
    assert encoded.projections[0].dtype == torch.bfloat16
    assert terms["der"].item() == pytest.approx(0, abs=1e-10)
