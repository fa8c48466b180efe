"""The best linear classifier: multinomial logistic regression, solved to convergence.

Unlike a schedule of SGD, the result depends on no learning rate and on no order of images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RunError
from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.standardization import standardized
from pipeline.runtime.device import to_float64

TOLERANCE = 1e-6  # of the largest entry of the gradient
MAX_ITERATIONS = 5000


class Solver(FeatureProbe):
    """Logistic regression on standardised features.

    Args:
        l2: the penalty, see ``fit``.
    """

    def __init__(self, *, l2: float) -> None:
        self.l2 = l2

    def scores(
        self,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        num_classes: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the logits.

        Raises:
            RunError: the solver did not converge.
        """
        train, test = standardized(to_float64(train), to_float64(test))
        weight, bias = fit(train, labels, num_classes, self.l2, "evaluation.solver.l2")
        return test @ weight.T + bias


def fit(
    features: Tensor, labels: Tensor, num_classes: int, l2: float, param: str
) -> tuple[Tensor, Tensor]:
    """Minimise the mean cross-entropy + l2/2 ‖W‖² by L-BFGS.

    Args:
        features: float64 ``(N, F)``.
        labels: classes in 0 .. num_classes - 1, ``(N,)``.
        num_classes: the number of outputs, C.
        l2: the penalty of the weights; the biases are free. scikit-learn's 1 / (N C).
        param: what params.yaml calls the penalty, for the message.

    Returns:
        Weights ``(C, F)`` and biases ``(C,)``, float64.

    Raises:
        RunError: no entry of the gradient may exceed ``TOLERANCE``, and one did after
            ``MAX_ITERATIONS``.
    """
    labels = labels.to(features.device)
    shape = (num_classes, features.shape[1])
    weight = features.new_zeros(shape, requires_grad=True)
    bias = features.new_zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        max_eval=2 * MAX_ITERATIONS,
        history_size=20,
        tolerance_grad=TOLERANCE,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        logits = features @ weight.T + bias
        loss = functional.cross_entropy(logits, labels) + l2 / 2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    objective()
    assert weight.grad is not None
    assert bias.grad is not None
    slope = max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))
    if not slope <= TOLERANCE:
        raise RunError(
            f"the solver did not converge in {MAX_ITERATIONS} iterations: the gradient is "
            f"{slope:.1e}, wanted is {TOLERANCE:.0e} or less; raise {param} ({l2})"
        )
    return weight.detach(), bias.detach()
