"""Weights of models that are named, fetched once through timm and kept as safetensors.

Importing this module imports neither torch nor timm.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pipeline import layout
from pipeline.errors import StateError, closest
from pipeline.files.atomic import write_bytes
from pipeline.files.sealed_json import dump_json
from pipeline.files.tensors import HEADER

# timm's own names, and those of its models on the hub of Hugging Face.
TIMM, HUB = "timm/", "hf-hub:"
MODEL_PREFIXES = (TIMM, HUB)


def fetch_weights(name: str) -> Path:
    """Return the file of a named model's weights; fetched if it is not there yet.

    Args:
        name: ``timm/MODEL`` or ``hf-hub:OWNER/MODEL``.

    Raises:
        StateError: timm is not installed, knows no such model, or cannot fetch it.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    path = layout.main_checkout() / layout.WEIGHTS / f"{safe}.safetensors"
    if path.is_file():
        return path
    page = name.removeprefix(HUB)
    by_hand = (
        f"or fetch https://huggingface.co/{page}/resolve/main/model.safetensors and config.json "
        "elsewhere into a folder, and name that folder as backbone.weights"
    )
    if find_spec("timm") is None:
        raise StateError(
            f"backbone.weights: '{name}' needs timm, not installed here; run `pip install timm`, "
            + by_hand
        )
    write_bytes(path, _fetch(name, by_hand))
    return path


def _fetch(name: str, by_hand: str) -> bytes:
    """Return a model's weights as a safetensors file whose header says how images enter.

    Raises:
        StateError: timm knows no such model, or cannot fetch it.
    """
    from safetensors.torch import save

    timm = import_module("timm")
    model = name.removeprefix(TIMM)
    if name.startswith(TIMM) and not timm.is_model(model):
        known = timm.list_models(pretrained=True)
        hint = closest(model, known).partition("one of:")[0]
        raise StateError(
            f"backbone.weights: timm has no model '{model}'; {hint}`timm.list_models()` in Python "
            "lists them all"
        )
    try:
        network = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:  # those of timm, its hub and the network have no common type
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise StateError(
            f"backbone.weights: '{name}' cannot be fetched ({said}); run `cassle plan` again "
            f"where there is a network, {by_hand}"
        ) from error
    config = network.pretrained_cfg
    recipe = {
        "mean": list(config["mean"]),
        "std": list(config["std"]),
        "image_size": config["input_size"][-1],
    }
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    return save(tensors, metadata={HEADER: dump_json({"preprocessing": recipe, "model": name})})
