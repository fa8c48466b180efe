"""EWC: the Fisher information and the penalty."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.base import Encoded, Method, Position, Views
from pipeline.strategies.base import Step
from pipeline.strategies.ewc import EWC, flatten, quadratic_penalty, trainable
from tests.support.networks import shake, task_start, tiny_method

# Two batches of two images of one pixel, of brightness p: the views are p and 2 p.
PIXELS = torch.tensor([1.0, 2.0, 4.0, 5.0]).reshape(4, 1, 1, 1)


class Line(Method):
    """Two parameters; the loss is a · mean(first view) - b² · mean(second view)."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(3.0))
        self.b = nn.Parameter(torch.tensor(0.5))
        self.frozen = nn.Parameter(torch.tensor(9.0), requires_grad=False)

    def encode(self, views: Views) -> Encoded:
        return Encoded(views, views)

    def loss(self, views: Views, encoded: Encoded) -> Tensor:
        return self.a * views[0].mean() - self.b**2 * views[1].mean()

    def compare(self, predicted: Tensor, past: Tensor) -> Tensor:
        raise AssertionError("EWC compares nothing")


def begin(weight: float = 2.0, decay: float = 1.0, batches: int = 1, **start: object) -> EWC:
    strategy = EWC(weight=weight, fisher_batches=batches, decay=decay)
    changes: dict[str, object] = {
        "augment": lambda batch, stream: (batch, 2 * batch),
        "batch_size": 4,
        **start,
    }
    strategy.begin_task(task_start(Line(), PIXELS, **changes))
    return strategy


def penalty(strategy: EWC, method: Method) -> Tensor:
    step = Step(method, (PIXELS,), Encoded((), ()), Position(0, 1, 1))
    terms = strategy.terms(step)
    assert list(terms) == ["ewc"]
    return terms["ewc"]


# One batch of all four: the gradients are mean(p) = 3 and -2 b · mean(2 p) = -6. Squared they are
# 9 and 36, and divided by their mean 0.4 and 1.6.
FISHER = torch.tensor([0.4, 1.6])


def test_the_fisher_information_is_the_squared_gradient_over_its_mean() -> None:
    strategy = begin()
    torch.testing.assert_close(strategy.fisher, FISHER)
    torch.testing.assert_close(strategy.anchor, torch.tensor([3.0, 0.5]))


def test_penalty_and_gradient_are_those_by_hand() -> None:
    strategy, method = begin(weight=2.0), Line()
    with torch.no_grad():
        method.a += 0.5
        method.b -= 2.0
    # 2 / 2 · (0.4 · 0.25 + 1.6 · 4)
    value = penalty(strategy, method)
    assert value.item() == pytest.approx(6.5)
    value.backward()
    assert method.a.grad is not None
    assert method.b.grad is not None
    assert method.a.grad.item() == pytest.approx(2 * 0.4 * 0.5)
    assert method.b.grad.item() == pytest.approx(2 * 1.6 * -2.0)


def test_the_penalty_is_zero_where_nothing_has_moved() -> None:
    assert penalty(begin(), Line()).item() == 0


def test_gradients_are_squared_batch_by_batch_not_in_their_sum() -> None:
    strategy = begin(batch_size=1, batches=200)
    # 200 draws of one image: the mean of p² over them, not the square of the mean of p.
    a, b = strategy.fisher.tolist()
    assert a + b == pytest.approx(2)
    assert b / a == pytest.approx(4)
    drawn = EWC(weight=1, fisher_batches=3, decay=1)
    seen: list[float] = []

    def augment(batch: Tensor, stream: torch.Generator) -> Views:
        seen.append(batch.item())
        # The first view's mean is the gradient of a; that of b is always 1.
        return batch, torch.ones_like(batch)

    start = task_start(Line(), PIXELS, augment=augment, batch_size=1)
    drawn.begin_task(start)
    squares = sum(p**2 for p in seen)
    assert drawn.fisher[0] / drawn.fisher[1] == pytest.approx(squares / 3)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_information_accumulates_over_the_tasks(decay: float) -> None:
    before = torch.tensor([10.0, 1.0])
    strategy = begin(decay=decay, carried={"fisher": before})
    torch.testing.assert_close(strategy.fisher, FISHER + decay * before)
    assert strategy.carried().keys() == {"fisher"}
    assert torch.equal(strategy.carried()["fisher"], strategy.fisher)


def test_without_any_gradient_the_information_is_zero_and_finite() -> None:
    strategy = begin(augment=lambda batch, stream: (0 * batch, 0 * batch))
    assert strategy.fisher.tolist() == [0, 0]


def test_only_parameters_that_gradients_train_are_listed() -> None:
    assert [p.item() for p in trainable(Line())] == [3.0, 0.5]
    method = tiny_method("byol")
    held = sum(tensor.numel() for tensor in trainable(method))
    online = [p for name, p in method.named_parameters() if not name.startswith("momentum_")]
    assert held == sum(p.numel() for p in online)


def test_estimating_leaves_the_network_as_it_was() -> None:
    method = tiny_method("mocov2plus")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    EWC(weight=1, fisher_batches=3, decay=1).begin_task(task_start(method))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())


def test_the_penalty_pulls_a_moved_network_back() -> None:
    method = tiny_method("simclr")
    strategy = EWC(weight=1, fisher_batches=2, decay=1)
    strategy.begin_task(task_start(method))
    shake(method, 0.1)
    value = penalty(strategy, method)
    value.backward()
    gradients = flatten([p.grad for p in trainable(method) if p.grad is not None])
    away = flatten(trainable(method)).detach() - strategy.anchor
    assert value > 0
    assert (gradients * away >= 0).all()
    assert (gradients * away).sum() > 0


def test_half_the_weighted_square() -> None:
    parameters = [torch.tensor([[1.0, 2.0]]), torch.tensor(4.0)]
    value = quadratic_penalty(parameters, torch.tensor([0.0, 2.0, 1.0]), torch.tensor([3.0, 7, 2]))
    assert value.item() == pytest.approx(0.5 * (3 * 1 + 0 + 2 * 9))


@pytest.mark.parametrize(
    ("carried", "message"),
    [
        ({"fisher": torch.ones(3)}, "of 3 parameters, expected 2"),
        ({"fisher": torch.ones(2), "images": torch.ones(1)}, "images is unknown"),
        ({"images": torch.ones(1)}, "fisher is missing"),
    ],
)
def test_what_another_strategy_carried_is_refused(carried: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        begin(carried=carried)
