"""Tensors by name and a header in one safetensors file, written and read strictly.

The header is one JSON object under a metadata key of ours. It holds the SHA-256 of the
tensors (``content``) and one of itself (the seal), and a file is read only if it is, byte
for byte, what would be written for what it holds. Importing this module imports no torch,
and a file of any other kind, a pickle above all, is refused without being interpreted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import PipelineError
from pipeline.files.atomic import read_content, write_bytes
from pipeline.files.sealed_json import Json, seal, unseal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FORMAT = 2
HEADER = "cassle"

Array = TypeVar("Array")
Saver = Callable[..., bytes]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Json) -> str:
    """Write tensors, whole or not at all; return the SHA-256 of their content.

    Args:
        path: where to.
        tensors: parameters and buffers by name, of any device and layout.
        header: what to know of them; ``format`` and ``content`` are added.

    Raises:
        RunError: the file cannot be written.
    """
    import torch
    from safetensors.torch import save

    plain = {
        name: tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    content = hashlib.sha256(save(plain)).hexdigest()
    sealed = seal({**header, "format": FORMAT, "content": content})
    write_bytes(path, save(plain, _metadata(sealed)))
    return content


def read_tensors(
    path: Path, error: type[PipelineError], remedy: str
) -> tuple[dict[str, Tensor], Json]:
    """Return the tensors and the header of a file, both as they were written.

    Args:
        path: where from.
        error: the kind of error to raise.
        remedy: what makes the right file, for the message.

    Raises:
        PipelineError: of the kind ``error``: the file is missing, damaged, or another kind of
            file.
    """
    from safetensors.torch import load, save

    return _read(path, error, remedy, load, save)


def read_arrays(
    path: Path, error: type[PipelineError], remedy: str
) -> tuple[dict[str, NDArray[np.generic]], Json]:
    """Return the same as ``read_tensors``, as NumPy's arrays and without torch."""
    from safetensors.numpy import load, save

    return _read(path, error, remedy, load, save)


def _read(
    path: Path,
    error: type[PipelineError],
    remedy: str,
    load: Callable[[bytes], dict[str, Array]],
    save: Saver,
) -> tuple[dict[str, Array], Json]:
    from safetensors import SafetensorError

    try:
        # Once: what is checked is what is used, whatever happens to the file meanwhile.
        content = read_content(path)
        held = load(content)
        header = unseal(_read_header(content))
        if header.get("format") != FORMAT:
            raise ValueError(f"it has format {header.get('format')}, expected {FORMAT}")
        if header.get("content") != hashlib.sha256(save(held)).hexdigest():
            raise ValueError("its tensors do not match their checksum")
        if content != save(held, _metadata(seal(header))):
            raise ValueError("it has bytes that are neither tensors nor header")
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except (OSError, SafetensorError, ValueError, KeyError, RecursionError) as problem:
        raise error(
            f"{path} is damaged or was not written by this version of the pipeline "
            f"({problem}); {remedy}"
        ) from problem
    return held, header


def _metadata(sealed: Json) -> dict[str, str]:
    return {HEADER: json.dumps(sealed, sort_keys=True)}


def _read_header(content: bytes) -> Any:
    """Return what is under our key in the bytes of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    if HEADER not in metadata:
        raise ValueError(f"its metadata has no key '{HEADER}'")
    return json.loads(metadata[HEADER])
