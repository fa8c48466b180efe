"""The config.json by which timm builds an exported network, from a folder or the hub."""

from __future__ import annotations

from pipeline.artifacts.encoder import EncoderOrigin
from pipeline.artifacts.public_names import GROUP_NORM, TIMM, name_in_timm
from pipeline.files.sealed_json import Json

CONFIG = "config.json"


def describe_for_timm(origin: EncoderOrigin, num_features: int) -> Json | None:
    """Return the content of config.json; None of a network that is none of timm's as it is.

    Args:
        origin: the encoder.
        num_features: the size of its features.
    """
    name = name_in_timm(origin.backbone)
    if name is None:
        return None
    how, sizes = origin.preprocessing, dict[str, int]()
    norm = {} if origin.backbone.norm == "batch" else {"norm_layer": GROUP_NORM}
    if origin.backbone.path.partition(":")[0] == TIMM:
        from pipeline.models.timm_network import size_arguments

        patch = origin.backbone.options["patch_size"]
        assert patch is None or isinstance(patch, int), f"patches of {patch!r}"
        sizes = size_arguments(name, how.image_size, patch)
    return {
        "architecture": name,
        "num_classes": 0,
        "num_features": num_features,
        "model_args": {"in_chans": how.channels, **norm, **sizes},
        "pretrained_cfg": {
            "custom_load": False,
            "num_classes": 0,
            "input_size": [how.channels, how.image_size, how.image_size],
            "fixed_input_size": bool(sizes),
            "interpolation": how.interpolation,
            "crop_pct": how.image_size / how.resize,
            "crop_mode": "center",
            "mean": list(how.mean),
            "std": list(how.std),
        },
    }
