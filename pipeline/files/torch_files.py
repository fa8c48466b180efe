"""Tensors of torch files that others wrote, read without running any code in them.

A torch file is a pickle, which can name any function to call. torch's own restricted reader calls
none but those that make tensors. Checkpoints also hold the settings of a training as objects of
other libraries: inert stand-ins take their places, and the libraries are not imported. A file that
names anything else is refused.
"""

from __future__ import annotations

import io
import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

# Objects of these names, or of modules of these, only hold values in the checkpoints of trainers.
SETTINGS = frozenset(
    {
        "argparse.Namespace",
        "collections.defaultdict",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "typing.Any",
        *(f"builtins.{name}" for name in ("dict", "list", "set", "int", "float", "str", "bool")),
    }
)
SETTINGS_MODULES = ("omegaconf", "pytorch_lightning", "lightning", "numpy", "ml_collections")
# Under these names a checkpoint keeps the network's tensors beside what else it holds.
NETWORKS = ("state_dict", "model_state_dict", "model", "teacher", "student", "network")

DEEPEST = 8  # mappings in each other


class _Values:
    """Stands for a class whose objects hold values by key or attribute; makes a plain mapping."""

    def __new__(cls, *given: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()  # the only kind that torch's reader fills


class _Number:
    """Stands for a number of numpy, or its type; does nothing with what it is given."""

    def __new__(cls, *given: object) -> _Number:
        return super().__new__(cls)

    def __init__(self, *given: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_torch_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a network in a torch file, by name.

    Args:
        content: the bytes of a ``state_dict``, or of a checkpoint that holds one.

    Raises:
        ValueError: the bytes are no torch file, name code to run, or hold no tensors by name.
    """
    return _find_tensors(_load(content))


def _load(content: bytes) -> object:
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    except Exception:  # an old format, or no torch file: the reader below says so
        unsafe = []
    if refused := sorted(name for name in unsafe if not _only_holds_values(name)):
        raise _refusal(", ".join(refused[:3]))
    stand_ins = [(type(name, (_choose_stand_in(name),), {}), name) for name in unsafe]
    try:
        with torch.serialization.safe_globals([*stand_ins]):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the reader of a damaged file raises many types
        # torch's own message advises to open it all the same.
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise _refusal(named[1]) from error
        raise ValueError(f"torch reads no tensors in it ({type(error).__name__})") from error


def _refusal(named: str) -> ValueError:
    return ValueError(f"it names code to run, {named}, and was not opened")


def _choose_stand_in(name: str) -> type:
    return _Number if name.startswith("numpy.") else _Values


def _only_holds_values(name: str) -> bool:
    return name in SETTINGS or name.partition(".")[0] in SETTINGS_MODULES


def _find_tensors(held: object, depth: int = 0) -> dict[str, Tensor]:
    """Return the tensors of a ``state_dict``, be it nested in a checkpoint."""
    if isinstance(held, Mapping):
        for name in NETWORKS:
            if isinstance(held.get(name), Mapping) and depth < DEEPEST:
                return _find_tensors(held[name], depth + 1)
        found = {key: value for key, value in held.items() if isinstance(value, Tensor)}
        if found and all(isinstance(key, str) for key in found):
            return found
    raise ValueError(f"it holds no tensors by name, nor under {', '.join(NETWORKS)}")
