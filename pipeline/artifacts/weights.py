"""Files of weights that were trained elsewhere: where they are, and how images enter them.

Importing this module imports no torch.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pipeline import layout
from pipeline.artifacts.fetched_weights import MODEL_PREFIXES, fetch_weights
from pipeline.artifacts.plans.init import InputRecipe
from pipeline.errors import StateError, explain_unreadable, shorten
from pipeline.files.sealed_json import JsonValue, file_digest
from pipeline.files.tensors import read_about
from pipeline.files.typed_json import get_typed

KEY = "backbone.weights"
# In a folder: what `cassle export` and Hugging Face name the file.
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
WHAT_TO_NAME = (
    "name a file of weights (safetensors or torch), a folder with one (an export, states of a "
    "run, a model of Hugging Face), or a model as timm/NAME"
)
HEADER_LENGTH = 8  # bytes of a safetensors file that say how long its header is
HEADER_LIMIT = 100_000_000  # bytes, safetensors' own
CHANNELS = (1, 3)
SIZES = (8, 2048)  # pixels of a side, as ``data.image_size``


def find_weights(source: str) -> Path:
    """Return the file of weights that params name; a model that is named is fetched once.

    Args:
        source: a file, a folder, or the name of a model; a relative path may be of the main
            checkout.

    Raises:
        StateError: it is not there, holds no weights, or cannot be fetched.
    """
    here = Path(source)
    path = here if here.exists() else layout.main_checkout() / here
    if not path.exists() and source.startswith(MODEL_PREFIXES):
        return fetch_weights(source)
    if path.is_dir():
        path = _find_in_folder(path)
    if not path.is_file():
        what = "is no regular file" if path.exists() else "is not there"
        raise StateError(f"{KEY}: '{source}' {what}; {WHAT_TO_NAME}")
    if path.resolve().is_relative_to(layout.STATES.resolve()) or (
        path.resolve() == layout.ENCODER.resolve()
    ):
        raise StateError(
            f"{KEY}: '{source}' is what this run writes itself, so it would change under it; copy "
            f"it first (mkdir weights; cp {path} weights/) and name the copy"
        )
    return path


def _find_in_folder(folder: Path) -> Path:
    """Return the file of weights in a folder; of states the last one.

    Raises:
        StateError: there is none.
    """
    for name in IN_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    states = {
        int(found[1]): path
        for path in folder.glob("task_*.safetensors")
        if (found := re.fullmatch(r"task_(\d+)\.safetensors", path.name))
        and path.stat().st_size > HEADER_LENGTH  # not an empty slot's
    }
    if states:
        return states[max(states)]
    raise StateError(
        f"{KEY}: the folder '{folder}' holds no {', '.join(IN_FOLDERS)} or task_N.safetensors; "
        + WHAT_TO_NAME
    )


def digest_weights(path: Path) -> str:
    """Return the SHA-256 of a file of weights.

    Raises:
        StateError: it cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise StateError(f"{KEY}: {path} cannot be read: {error}") from error


def read_recipe(path: Path) -> InputRecipe | None:
    """Return how images enter the network of a file of weights, where file or folder say it.

    The header of an export says it, preprocessing.json beside it, or a config.json of timm's.

    Raises:
        StateError: what says it is damaged.
    """
    about = _read_header(path)
    saying = path
    try:
        if "preprocessing" in about:
            return _parse_own(about["preprocessing"])
        saying = path.with_name("preprocessing.json")
        if saying.is_file():
            return _parse_own(_read_json(saying))
        saying = path.with_name("config.json")
        config = _read_json(saying) if saying.is_file() else {}
        if isinstance(config, dict) and "pretrained_cfg" in config:
            return _parse_timm(config["pretrained_cfg"])
    except PermissionError as error:
        raise StateError(f"{KEY}: {explain_unreadable(saying, error)}") from error
    except (OSError, ValueError) as error:
        own = "export it again, or name another file"
        remedy = own if saying == path else f"mend {saying.name} or remove it"
        raise StateError(
            f"{KEY}: how images enter {path} cannot be read ({error}); {remedy}"
        ) from error
    return None


def _read_header(path: Path) -> dict[str, JsonValue]:
    """Return what this pipeline says in a safetensors file's header; empty of other files."""
    try:
        with path.open("rb") as file:
            size = file.read(HEADER_LENGTH)
            length = int.from_bytes(size, "little")
            return read_about(size + file.read(length)) if length <= HEADER_LIMIT else {}
    except (OSError, ValueError):
        return {}


def _read_json(path: Path) -> JsonValue:
    try:
        value: JsonValue = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _parse_own(recipe: JsonValue) -> InputRecipe:
    return _check_recipe(
        get_typed(recipe, tuple[float, ...], "mean"),
        get_typed(recipe, tuple[float, ...], "std"),
        get_typed(recipe, int, "image_size"),
    )


def _parse_timm(config: JsonValue) -> InputRecipe:
    shape = get_typed(config, tuple[int, ...], "input_size")
    if len(shape) != 3:
        raise ValueError(f"input_size is {shorten([*shape])}, expected channels, height and width")
    return _check_recipe(
        get_typed(config, tuple[float, ...], "mean"),
        get_typed(config, tuple[float, ...], "std"),
        shape[-1],
    )


def _check_recipe(mean: tuple[float, ...], std: tuple[float, ...], size: int) -> InputRecipe:
    if len(mean) not in CHANNELS or len(mean) != len(std):
        raise ValueError(
            f"mean has {len(mean)} numbers and std {len(std)}, expected 1 or 3 each, one a channel"
        )
    # No number at all is not even within the largest.
    if not all(abs(value) <= sys.float_info.max for value in (*mean, *std)) or min(std) <= 0:
        raise ValueError(
            f"mean is {shorten([*mean])} and std {shorten([*std])}, expected finite numbers, and "
            "std above 0"
        )
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(
            f"images of {shorten(size)} pixels, expected from {SIZES[0]} to {SIZES[1]} a side"
        )
    return InputRecipe(mean, std, size)
