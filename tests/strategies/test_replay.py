"""er, der and lump: what they do with their memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.config.registry.methods import METHODS
from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.strategies.base import Step, Strategy, TaskStart
from pipeline.strategies.der import DarkExperienceReplay, mean_squared_error
from pipeline.strategies.er import ExperienceReplay
from pipeline.strategies.lump import Lump, mixup
from tests.support.networks import draw_views, shake, streams, task_start, tiny_images, tiny_method

AT = Position(0, 4, 8)
LATER = Position(1, 4, 8)


def er(memory_size: int = 10, batch_share: float = 0.5) -> ExperienceReplay:
    return ExperienceReplay(memory="reservoir", memory_size=memory_size, batch_share=batch_share)


def der(
    memory_size: int = 10, batch_share: float = 0.5, weight: float = 1.0
) -> DarkExperienceReplay:
    return DarkExperienceReplay(
        memory="reservoir", memory_size=memory_size, batch_share=batch_share, weight=weight
    )


def lump(memory_size: int = 10, alpha: float = 0.4) -> Lump:
    return Lump(memory="reservoir", memory_size=memory_size, alpha=alpha)


def step(method: Method, views: Views, at: Position = AT) -> Step:
    return Step(method, views, method.encode(views), at)


def mix(strategy: Strategy, views: Views, at: Position) -> Views:
    strategy.observe(tiny_images(len(views[0])), at)
    return strategy.mix(views, at)


def plain(start: TaskStart) -> TaskStart:
    """The same, with images as their own views."""
    return task_start(
        start.method, start.previous_images, augment=lambda batch, stream: (batch / 255,) * 2
    )


def test_images_are_counted_part_by_part() -> None:
    # Four parts of 4 images, and 2 from memory in each; at once they would be 6, all there are.
    start = task_start(tiny_method("simclr"), batch_size=4)
    for strategy, passes in ((er(memory_size=6), 2), (der(memory_size=6), 1)):
        strategy.begin_task(start)
        assert strategy.count_images(16, views=2) == 2 * 16 + passes * 8


# Experience replay


def test_er_joins_each_view_with_memory_images_behind_it() -> None:
    strategy, views = er(batch_share=0.5), draw_views(8)
    strategy.begin_task(plain(task_start(tiny_method("simclr"))))
    mixed = mix(strategy, views, AT)
    for before, after in zip(views, mixed, strict=True):
        assert after.shape == (12, 1, 8, 8)
        assert torch.equal(after[:8], before)
    # Without augmentation both views of a replayed image are the image, and it is in memory.
    assert torch.equal(mixed[0][8:], mixed[1][8:])
    held = {bytes(image.numpy()) for image in strategy.memory.images}
    replayed = (mixed[0][8:] * 255).round().to(torch.uint8)
    assert {bytes(image.numpy()) for image in replayed} <= held
    assert len({bytes(image.numpy()) for image in replayed}) == 4


def test_er_views_of_memory_images_are_augmented_apart() -> None:
    strategy = er()
    strategy.begin_task(task_start(tiny_method("simclr")))
    first, second = mix(strategy, draw_views(8), AT)
    assert not torch.equal(first[8:], second[8:])


def test_another_step_replays_other_images_and_the_same_step_the_same() -> None:
    for strategy in (er(), lump()):
        strategy.begin_task(task_start(tiny_method("simclr")))
        views = draw_views(8)
        once, again, later = (mix(strategy, views, at)[0] for at in (AT, AT, LATER))
        assert torch.equal(once, again)
        assert not torch.equal(once, later)


def test_a_memory_batch_larger_than_the_memory_is_all_of_it_once() -> None:
    method = tiny_method("simclr")
    strategy = er(memory_size=3, batch_share=2.0)
    strategy.begin_task(plain(task_start(method)))
    replayed = mix(strategy, draw_views(8), AT)[0][8:]
    # Twice in a batch, an image would be its own negative.
    assert len(replayed) == 3
    assert len({bytes(image.numpy()) for image in replayed}) == 3
    distilled = der(memory_size=3, batch_share=2.0)
    distilled.begin_task(task_start(method))
    now = step(method, draw_views(8))
    shake(method, 0.1)
    assert distilled.terms(now)["der"] > 0


def test_lump_mixes_every_image_however_small_the_memory() -> None:
    strategy = lump(memory_size=3)
    strategy.begin_task(plain(task_start(tiny_method("simclr"))))
    views = draw_views(8)
    (mixed, _) = mix(strategy, views, AT)
    assert all(
        not torch.equal(after, before) for after, before in zip(mixed, views[0], strict=True)
    )


# Dark experience replay


def test_der_is_zero_when_nothing_has_changed_and_not_when_something_has() -> None:
    for name in METHODS:
        method = tiny_method(name)
        method.train()
        for seed in range(3):
            method.encode(draw_views(8, seed))  # gives BatchNorm statistics of its own
        strategy = der()
        strategy.begin_task(task_start(method))
        # Not a real step: encoding the batch would already move BatchNorm's statistics.
        now = Step(method, draw_views(8), Encoded((), ()), AT)
        assert strategy.terms(now)["der"].item() < 1e-12, name
        shake(method, 0.1)
        assert strategy.terms(now)["der"].item() > 1e-6, name


def test_der_is_the_weighted_mean_square_to_what_was_stored() -> None:
    method, views = tiny_method("simclr"), draw_views(8)
    strategy = der(weight=3.0)
    strategy.begin_task(task_start(method))
    shake(method, 0.1)
    value = strategy.terms(step(method, views))["der"]
    places = strategy.memory.draw_indices(8, streams("der", 0))  # half of the 16 of a batch
    method.eval()
    now = method.encode((strategy.memory.images[places] / 255,)).projections[0]
    expected = 3.0 * (now - strategy.projections[places]).square().mean()
    torch.testing.assert_close(value, expected)


def test_der_gradient_leads_back_to_the_stored_projections() -> None:
    method, views = tiny_method("simclr"), draw_views(8)
    strategy = der(batch_share=4.0)
    strategy.begin_task(task_start(method))
    shake(method, 0.05)
    optimizer = torch.optim.Adam(method.parameters(), 0.003)
    first = strategy.terms(step(method, views))["der"].item()
    for _ in range(30):
        optimizer.zero_grad()
        value = strategy.terms(step(method, views))["der"]
        value.backward()
        optimizer.step()
    assert value.item() < 0.3 * first


def test_der_leaves_batchnorm_statistics_and_modes_alone() -> None:
    method = tiny_method("byol").train()
    strategy = der()
    strategy.begin_task(task_start(method))
    now = step(method, draw_views(8))
    before = {name: value.clone() for name, value in method.named_buffers()}
    strategy.terms(now)
    assert all(torch.equal(value, before[name]) for name, value in method.named_buffers())
    assert all(module.training for module in method.modules())


def test_der_keeps_a_projection_as_it_was_when_its_image_came() -> None:
    method = tiny_method("simclr")
    first = der(batch_share=1)
    first.begin_task(task_start(method, tiny_images(40, seed=1)))
    carried = {key: value.clone() for key, value in first.carried().items()}
    shake(method, 0.2)
    second = der(batch_share=1)
    second.begin_task(task_start(method, tiny_images(40, seed=2), carried=carried))
    stayed = [
        place
        for place in range(10)
        if torch.equal(first.memory.images[place], second.memory.images[place])
    ]
    assert 0 < len(stayed) < 10
    method.eval()
    with torch.no_grad():
        now = method.encode((second.memory.images / 255,)).projections[0]
    for place in range(10):
        expected = carried["projections"][place] if place in stayed else now[place]
        torch.testing.assert_close(second.projections[place], expected)


def test_a_vector_far_off_in_one_dimension_of_two() -> None:
    z, stored = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 6.0], [0.0, 0.0]])
    assert mean_squared_error(z, stored).item() == 4.0


@pytest.mark.parametrize(
    ("projections", "message"),
    [
        (torch.zeros(9, 6), r"\(9, 6\), expected \(10, 6\)"),
        (torch.zeros(10, 5), r"\(10, 5\), expected \(10, 6\)"),
        (None, "projections is missing"),
    ],
)
def test_der_refuses_projections_that_do_not_fit(projections: Tensor | None, message: str) -> None:
    carried = {"images": tiny_images(10), "seen": torch.tensor(30)}
    if projections is not None:
        carried["projections"] = projections
    with pytest.raises(ValueError, match=message):
        der().begin_task(task_start(tiny_method("simclr"), carried=carried))


# LUMP


def test_lump_with_lambda_1_is_the_views_themselves() -> None:
    views, past = draw_views(8), draw_views(8, seed=1)
    assert all(map(torch.equal, mixup(views, past, 1.0), views))
    assert all(map(torch.equal, mixup(views, past, 0.0), past))


def test_lump_with_lambda_1_is_finetune(monkeypatch: pytest.MonkeyPatch) -> None:
    class Always:
        def beta(self, a: float, b: float) -> float:
            return 1.0

    monkeypatch.setattr("numpy.random.default_rng", lambda seed: Always())
    strategy, views = lump(), draw_views(8)
    strategy.begin_task(task_start(tiny_method("simclr")))
    mixed = mix(strategy, views, AT)
    assert all(map(torch.equal, mixed, views))
    losses = []
    for seen in (mixed, Strategy().mix(views, AT)):
        method = tiny_method("simclr")
        loss = method.loss(seen, method.encode(seen))
        loss.backward()
        losses.append([loss, *(parameter.grad for parameter in method.parameters())])
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(*losses, strict=True)
        if ours is not None and theirs is not None
    )
    assert strategy.terms(step(tiny_method("simclr"), mixed)) == {}


def test_lump_mixes_each_pixel_in_one_proportion_a_batch() -> None:
    strategy, views = lump(memory_size=40), draw_views(8)
    strategy.begin_task(plain(task_start(tiny_method("simclr"))))
    first, second = mix(strategy, views, AT)
    places = strategy.memory.draw_indices(8, streams("lump", 0))
    past = strategy.memory.images[places] / 255
    share = ((first - past) / (views[0] - past)).median()
    assert 0 <= share <= 1
    torch.testing.assert_close(first, share * views[0] + (1 - share) * past)
    torch.testing.assert_close(second, share * views[1] + (1 - share) * past)


@pytest.mark.parametrize("alpha", [0.4, 5.0])
def test_lambda_is_drawn_from_a_beta_distribution(alpha: float) -> None:
    strategy = lump(alpha=alpha)
    black = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    strategy.begin_task(plain(task_start(tiny_method("simclr"), black)))
    ones = (torch.ones(2, 1, 8, 8),) * 2
    shares = torch.tensor(
        [strategy.mix(ones, Position(number, 1, 2000))[0].mean() for number in range(2000)]
    )
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    # The variance of Beta(α, α).
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


# All three


@pytest.mark.parametrize("build", [er, der, lump])
def test_a_memory_of_nothing_is_finetune(build: type) -> None:
    strategy = build(memory_size=0)
    method, views = tiny_method("simclr"), draw_views(8)
    strategy.begin_task(task_start(method))
    mixed = mix(strategy, views, AT)
    assert all(map(torch.equal, mixed, views))
    assert strategy.terms(step(method, mixed)) == {}
    assert len(strategy.carried()["images"]) == 0


@pytest.mark.parametrize("build", [er, der])
def test_a_share_of_nothing_is_finetune(build: type) -> None:
    strategy = build(batch_share=0.0)
    method, views = tiny_method("simclr"), draw_views(8)
    strategy.begin_task(task_start(method))
    assert mix(strategy, views, AT) is views
    assert strategy.terms(step(method, views)) == {}


@pytest.mark.parametrize("build", [er, der, lump])
def test_a_memory_larger_than_the_data_works(build: type) -> None:
    strategy = build(memory_size=1000)
    method = tiny_method("simclr")
    strategy.begin_task(task_start(method))
    now = step(method, mix(strategy, draw_views(8), AT))
    assert all(term.isfinite() for term in strategy.terms(now).values())
    assert len(strategy.carried()["images"]) == 40


@pytest.mark.parametrize("build", [er, der, lump])
def test_the_memory_is_carried_whole(build: type) -> None:
    method = tiny_method("simclr")
    first, second = build(), build()
    first.begin_task(task_start(method))
    carried = first.carried()
    second.begin_task(task_start(method, tiny_images(0), carried=carried))
    assert second.carried().keys() == carried.keys()
    assert all(torch.equal(second.carried()[key], value) for key, value in carried.items())


@pytest.mark.parametrize("build", [er, lump])
def test_what_der_carried_is_refused_by_others(build: type) -> None:
    method, before = tiny_method("simclr"), der()
    before.begin_task(task_start(method))
    with pytest.raises(ValueError, match="projections is unknown"):
        build().begin_task(task_start(method, carried=before.carried()))
