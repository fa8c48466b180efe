"""Freezing of a backbone's first layers, which then keep their weights and BatchNorm statistics."""

from __future__ import annotations

from pipeline.errors import closest, shorten
from pipeline.models.backbone import Backbone


def freeze_until(backbone: Backbone, last: str) -> None:
    """Freeze a backbone's layers from the first one to a named one, in place.

    Their parameters take no gradient, so no optimizer holds them, and they stay in eval mode, so
    BatchNorm uses its statistics and does not change them. Copies are frozen likewise.

    Args:
        backbone: whose layers stand in the order in which images pass them.
        last: the name of a module or parameter, the backbone's own or torchvision's and timm's:
            ``layers.1`` or ``layer2``, say.

    Raises:
        ValueError: there is none of that name.
    """
    names = list(backbone.state_dict())
    places = [
        place
        for place, name in enumerate(names)
        if any(f"{each}.".startswith(f"{last}.") for each in (name, backbone.portable_name(name)))
    ]
    if not places:
        known = closest(last[:80], list_parts(backbone))
        raise ValueError(f"{shorten(last)} is no part of the backbone; {known}")
    frozen = set(names[: places[-1] + 1])
    for name, parameter in backbone.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    whole: set[str] = set()
    for name, module in backbone.named_modules():
        held = [f"{name}.{inner}".removeprefix(".") for inner in module.state_dict()]
        # What has no tensors, such as dropout, is frozen with the module around it.
        around = name.rpartition(".")[0] in whole if name else False
        if around or (held and set(held) <= frozen):
            whole.add(name)
    backbone.frozen = frozenset(whole)
    backbone.train(backbone.training)


def list_parts(backbone: Backbone) -> list[str]:
    """Return the names of the backbone's modules that hold tensors, down to the second level."""
    names = list(backbone.state_dict())
    found = []
    for name in [*names, *map(backbone.portable_name, names)]:
        parts = name.split(".")
        found += [".".join(parts[:depth]) for depth in (1, 2) if depth < len(parts)]
    return list(dict.fromkeys(found))
