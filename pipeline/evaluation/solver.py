"""The best linear classifier: multinomial logistic regression, solved to convergence.

Unlike a schedule of SGD, the result depends on no learning rate and on no order of images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.errors import RunError
from pipeline.evaluation.base import FeatureProbe
from pipeline.evaluation.standardization import standardized
from pipeline.runtime.device import to_float64

TOLERANCE = 1e-6  # of the largest entry of the gradient
MAX_ITERATIONS = 5000
HISTORY = 50  # steps that L-BFGS keeps


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

    With more images than features it moves in coordinates in which the features have the same mean
    square along all axes. The problem is rounder there and takes about half the iterations; its
    minimum is the same.

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
            ``MAX_ITERATIONS``; or features are not finite.
    """
    labels = labels.to(features.device)
    axes, scales = _find_axes(features, l2)
    # Features are (F, N) and logits (C, N) from here: a CPU takes a third of the time for these.
    features = (axes / scales).T @ features.T
    images = torch.arange(len(labels), device=labels.device)
    moved = features.new_zeros(num_classes, len(scales))  # W axes · scales
    bias = features.new_zeros(num_classes)
    optimizer = torch.optim.LBFGS(
        [moved, bias],
        history_size=HISTORY,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        logs = torch.addmm(bias[:, None], moved, features).log_softmax(0)
        loss = l2 / 2 * (moved / scales).square().sum() - logs[labels, images].mean()
        errors = logs.exp_()
        errors[labels, images] -= 1
        errors /= len(labels)
        moved.grad = torch.addmm(l2 * moved / scales.square(), errors, features.T)
        bias.grad = errors.sum(1)
        return loss

    slope, left, tolerance = math.inf, MAX_ITERATIONS, 3 * TOLERANCE / float(scales.max())
    options = optimizer.param_groups[0]
    # What has to be flat is W, which shows when the optimizer has come to rest where it moves.
    while slope > TOLERANCE and left > 0:
        options.update(max_iter=left, max_eval=2 * left, tolerance_grad=tolerance)
        optimizer.step(objective)  # type: ignore[no-untyped-call]
        objective()
        assert moved.grad is not None
        assert bias.grad is not None
        slope = float(((moved.grad * scales) @ axes.T).abs().max())
        slope = max(slope, float(bias.grad.abs().max()))
        left = min(left - 1, MAX_ITERATIONS - optimizer.state[moved].get("n_iter", 0))
        tolerance /= 2
    if not slope <= TOLERANCE:
        raise RunError(
            f"the solver did not converge in {MAX_ITERATIONS} iterations: the gradient is "
            f"{slope:.1e}, wanted is {TOLERANCE:.0e} or less; raise {param} ({l2})"
        )
    return (moved / scales) @ axes.T, bias


def _find_axes(features: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    """Return the principal axes, the columns of ``(F, F)``, and scales along them, ``(F,)``.

    No more images than features leave the axes as they are: there the iterations are quick.

    Raises:
        RunError: the features are not finite.
    """
    count, size = features.shape
    if count <= size:
        return torch.eye(size).to(features), features.new_ones(size)
    try:
        squares, axes = torch.linalg.eigh(features.T @ features / count)
    except RuntimeError as error:  # torch's LinAlgError is one
        raise RunError(f"the features have no principal axes: {error}") from error
    return axes, (squares.clamp_min(0) + l2).sqrt()
