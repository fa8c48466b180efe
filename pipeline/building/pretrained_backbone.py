"""A backbone with weights that were trained elsewhere."""

from __future__ import annotations

import hashlib

from torch import Tensor

from pipeline.artifacts.plans.files import AGAIN
from pipeline.artifacts.plans.init import WeightsPlan
from pipeline.artifacts.plans.parts import BackbonePlan
from pipeline.artifacts.weights import KEY, find_weights
from pipeline.building.backbone import build_backbone
from pipeline.errors import StateError, explain_unreadable
from pipeline.files.tensors import parse_tensors
from pipeline.files.torch_files import read_torch_tensors
from pipeline.models.backbone import Backbone
from pipeline.models.pretrained import load_pretrained


def build_pretrained(plan: BackbonePlan, weights: WeightsPlan) -> tuple[Backbone, list[str]]:
    """The backbone with its weights, and remarks on how they fit.

    Args:
        plan: of the backbone.
        weights: what it is to hold.

    Raises:
        StateError: the file is missing, not what was planned, or cannot be read; or its weights
            are none of this backbone.
    """
    path = find_weights(weights.source)
    try:
        # Read once: a change of the file between check and use cannot matter.
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != weights.digest:
            raise StateError(f"{KEY}: {path} is not what it was when it was planned; {AGAIN}")
        tensors = _parse(content)
    except PermissionError as error:
        raise StateError(f"{KEY}: {explain_unreadable(path, error)}") from error
    except (OSError, ValueError) as error:
        raise StateError(
            f"{KEY}: {path} cannot be read: {error}; name a file of safetensors, or one that torch "
            "saved of tensors alone"
        ) from error
    backbone = build_backbone(plan)
    try:
        return backbone, load_pretrained(backbone, tensors)
    except ValueError as error:
        raise StateError(
            f"{KEY}: {path} does not fit {plan.name}{_name_choices(plan)}: {error}; set "
            "backbone.name, its options, backbone.stem, backbone.norm and backbone.patch_size to "
            "the network that these weights are of"
        ) from error


def _name_choices(plan: BackbonePlan) -> str:
    if plan.stem is None:
        return ""
    return f" with stem {plan.stem}" + (f" and norm {plan.norm}" if plan.norm != "batch" else "")


def _parse(content: bytes) -> dict[str, Tensor]:
    """The tensors of a file, whatever its name ends in.

    Raises:
        ValueError: it is neither safetensors nor a torch file, or not safe to open.
    """
    # A safetensors file begins with a length of eight bytes, and a JSON object.
    return parse_tensors(content) if content[8:9] == b"{" else read_torch_tensors(content)
