"""check: the network that the stream starts from, and what of it trains."""

from __future__ import annotations

from pipeline.config.params import Params
from pipeline.config.plan_backbone import plan_backbone
from pipeline.config.plan_weights import describe_taken_over, plan_weights
from pipeline.config.registry.strategies import list_acting
from pipeline.errors import PipelineError

SHOWN = 12  # digits of a digest


def check_weights(params: Params) -> list[str]:
    """Say what the stream starts from and what of it stays; return problems with that.

    Imports torch only where params name weights or a part to freeze.
    """
    problems = []
    try:
        _check_fit(params)
    except PipelineError as error:
        problems.append(str(error))
        params = forget_weights(params)
    if params.backbone.freeze_until is not None:
        try:
            print(_describe_frozen(params, params.backbone.freeze_until))
        except ValueError as error:
            problems.append(f"backbone.freeze_until: {error}")
        except PipelineError:  # of the backbone itself, which is checked beside this
            pass
    if params.distill_from_start:
        print(_describe_start(params.strategy.split("+")))
    return problems


def forget_weights(params: Params) -> Params:
    """Return params with random weights, to check all else by."""
    backbone = params.backbone.model_copy(update={"weights": None})
    return params.model_copy(update={"backbone": backbone})


def _check_fit(params: Params) -> None:
    """Check that the weights fit the backbone, and say what is taken over from them.

    Raises:
        StateError: they are not there, or do not fit.
    """
    weights = plan_weights(params)
    if weights is None:
        return
    from pipeline.building.pretrained_backbone import build_pretrained

    taken_over = describe_taken_over(params)
    _, remarks = build_pretrained(plan_backbone(params), weights)
    print(
        f"weights: {weights.source}, SHA-256 {weights.digest[:SHOWN]}, fits {params.backbone.name}"
    )
    for line in [*taken_over, *remarks]:
        print(f"weights: {line}")


def _describe_frozen(params: Params, last: str) -> str:
    """How much of the backbone stays as it starts.

    Raises:
        ValueError: it has no such part.
    """
    from pipeline.building.backbone import build_backbone
    from pipeline.models.freezing import freeze_until

    backbone = build_backbone(plan_backbone(params))
    freeze_until(backbone, last)
    counts = [(p.numel(), p.requires_grad) for p in backbone.parameters()]
    kept = sum(count for count, trains in counts if not trains)
    return f"frozen: {kept} of {sum(count for count, _ in counts)} weights, up to {last}"


def _describe_start(strategies: list[str]) -> str:
    """What looks back on task 1."""
    acting = list_acting(strategies, 1, from_start=True)
    waiting = [name for name in strategies if name not in acting]
    said = f"task 1: {'+'.join(acting) or 'no strategy'} looks back at the weights"
    if waiting:
        said += f"; {'+'.join(waiting)} acts from task 2 on, or not at all"
    return said
