"""Weights that were trained elsewhere, fitted to a backbone by name and shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pipeline.models.backbone import Backbone
from pipeline.models.loading import load_strictly, select_below

# Checkpoints keep the backbone below one of these names, beside projectors and momentum networks.
PREFIXES = ("method.backbone", "backbone", "encoder", "encoder_q", "module", "model", "network")
# Classifiers on top of a backbone, which have no use here.
CLASSIFIERS = ("fc.", "head.", "classifier.", "head_dist.")
COUNTER = "num_batches_tracked"  # of BatchNorm; older files lack it, and nothing reads it
STATISTICS = ("running_mean", "running_var", COUNTER)  # that BatchNorm has and other norms have not
MOST_NAMED = 4  # names in a message; of more, the number


def load_pretrained(backbone: Backbone, tensors: Mapping[str, Tensor]) -> list[str]:
    """Give a backbone weights that were trained elsewhere; return remarks on how they fit.

    The names may be the backbone's own or those of torchvision and timm, both also below a prefix
    that checkpoints have. What stands beside the backbone is left out.

    Args:
        backbone: takes the weights; as it was if they do not fit.
        tensors: by name.

    Raises:
        ValueError: names or shapes do not fit, or a weight is not finite; names a few, and how
            many there are.
    """
    expected = backbone.state_dict()
    found = _select_backbone(backbone, tensors)
    remarks = []
    for name, wanted in expected.items():
        if name not in found and name.endswith(COUNTER):
            found[name] = torch.zeros_like(wanted)
        elif name not in found or not _is_like(found[name], wanted):
            continue
        elif (adapted := _adapt_channels(found[name], wanted)) is not None:
            before, after = found[name].shape[1], wanted.shape[1]
            remarks.append(f"{name} was made for {before} channels and is adapted to {after}")
            found[name] = adapted
        elif (adapted := backbone.resample(name, found[name])) is not None:
            remarks.append(
                f"{name} was made for images or patches of another size and is resampled from "
                f"{_shape(found[name])} to {_shape(adapted)}"
            )
            found[name] = adapted
    _require_fit(found, expected)
    load_strictly(backbone, found)
    return remarks


def _select_backbone(backbone: Backbone, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's tensors by its own names, and those that have none."""
    own = {backbone.portable_name(name): name for name in backbone.state_dict()}
    found = dict(tensors)
    while not any(name in own or name in own.values() for name in found):
        below = next((held for prefix in PREFIXES if (held := select_below(found, prefix))), None)
        if below is None:
            break
        found = below
    return {
        own.get(name, name): tensor
        for name, tensor in found.items()
        if name in own or name in own.values() or not name.startswith(CLASSIFIERS)
    }


def _adapt_channels(weight: Tensor, wanted: Tensor) -> Tensor | None:
    """Return a first convolution's kernel for grey images instead of colour, or the reverse.

    The sum over the channels of a grey image that is repeated in three is the same, so a network
    gives the same features of it. None where that is not what differs.

    Args:
        weight: ``(F, 1 or 3, ...)``.
        wanted: ``(F, 3 or 1, ...)``.
    """
    if weight.ndim != 4 or weight.ndim != wanted.ndim:
        return None
    if (weight.shape[1], wanted.shape[1]) == (1, 3):
        return weight.expand(-1, 3, -1, -1) / 3
    if (weight.shape[1], wanted.shape[1]) == (3, 1):
        return weight.sum(dim=1, keepdim=True)
    return None


def _require_fit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check names, shapes and values.

    Raises:
        ValueError: something does not fit.
    """
    shapes = [
        f"{name} is {_shape(found[name])} and has to be {_shape(wanted)}"
        for name, wanted in expected.items()
        if name in found and found[name].shape != wanted.shape
    ]
    unlike = [
        name
        for name, wanted in expected.items()
        if name in found and not _is_like(found[name], wanted)
    ]
    if unlike:
        raise ValueError("; ".join(_name_some(unlike, "no plain real numbers")))
    problems = [
        *_name_some([name for name in expected if name not in found], "missing"),
        *_name_some([name for name in found if name not in expected], "unknown"),
        *_name_some(shapes, "of other shapes"),
        *_name_some(
            [name for name in expected if name in found and not found[name].isfinite().all()],
            "not finite",
        ),
    ]
    if problems:
        raise ValueError(_explain_norms(found, expected) or "; ".join(problems))


def _explain_norms(found: Iterable[str], expected: Iterable[str]) -> str:
    """Return that one network has BatchNorm where the other has another norm, if that is all."""
    theirs, ours = (
        {name for name in names if not name.endswith(COUNTER)} for names in (found, expected)
    )
    statistics = {name for name in theirs ^ ours if name.endswith(STATISTICS)}
    if not statistics or statistics != theirs ^ ours:
        return ""
    if not any(name.endswith(STATISTICS) for name in ours):
        return "they are of a network with BatchNorm, and this one has another norm"
    if not any(name.endswith(STATISTICS) for name in theirs):
        return "they are of a network without BatchNorm, and this one has it"
    return ""


def _is_like(tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor holds numbers that can stand for those of another one."""
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    return plain and tensor.is_floating_point() == wanted.is_floating_point()


def _name_some(names: list[str], what: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"{len(names)} {what}: {', '.join(names[:MOST_NAMED])}{more}"]


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
