"""Named tensors and a JSON header in one safetensors file, written and read strictly.

The header is a JSON object under the metadata key ``cassle``. It holds the SHA-256 of the
tensors (``content``) and its own seal. A file is accepted only if writing its content again
gives the same bytes. Importing this module imports no torch. Any other kind of file, such as
a pickle, is refused without being interpreted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import PipelineError
from pipeline.files.atomic import read_content, require_own_file, write_bytes
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
    """Write tensors atomically; return the SHA-256 of their content.

    Args:
        path: the file.
        tensors: parameters and buffers by name, on any device and in any layout.
        header: their origin; ``format`` and ``content`` are added.

    Raises:
        RunError: the file cannot be written.
    """
    packed, content = pack_tensors(tensors, header)
    write_bytes(path, packed)
    return content


def pack_tensors(tensors: Mapping[str, Tensor], header: Json) -> tuple[bytes, str]:
    """Return a file's bytes and the SHA-256 of its content; arguments as of ``write_tensors``."""
    import torch
    from safetensors.torch import save

    plain = {
        name: tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    content = hashlib.sha256(save(plain)).hexdigest()
    sealed = seal({**header, "format": FORMAT, "content": content})
    return save(plain, _metadata(sealed)), content


def read_tensors(
    path: Path, error: type[PipelineError], remedy: str
) -> tuple[dict[str, Tensor], Json]:
    """Return the tensors and the header of a file.

    Args:
        path: the file.
        error: the type of error to raise.
        remedy: the command that makes the file, for the message.

    Raises:
        PipelineError: of type ``error``: the file is missing, damaged, or of another kind.
    """
    from safetensors.torch import load, save

    return _read(path, error, remedy, load, save)


def read_arrays(
    path: Path, error: type[PipelineError], remedy: str
) -> tuple[dict[str, NDArray[np.generic]], Json]:
    """Return the tensors of a file as NumPy arrays, and its header; imports no torch.

    Arguments and errors are those of ``read_tensors``.
    """
    from safetensors.numpy import load, save

    return _read(path, error, remedy, load, save)


def read_tensor_header(path: Path, error: type[PipelineError], remedy: str) -> Json:
    """Return the header of a file without reading its tensors, which are not checked.

    Arguments and errors are those of ``read_tensors``.
    """
    try:
        require_own_file(path)
        with path.open("rb") as file:
            size = file.read(8)
            return unseal(_read_header(size + file.read(int.from_bytes(size, "little"))))
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError, KeyError, RecursionError, OverflowError, MemoryError) as problem:
        raise error(f"{path} is damaged ({problem}); {remedy}") from problem


def _read(
    path: Path,
    error: type[PipelineError],
    remedy: str,
    load: Callable[[bytes], dict[str, Array]],
    save: Saver,
) -> tuple[dict[str, Array], Json]:
    from safetensors import SafetensorError

    try:
        # Read once: a change of the file between check and use cannot matter.
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
    """Return the JSON object under the key ``cassle`` in a safetensors file's metadata."""
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    if HEADER not in metadata:
        raise ValueError(f"its metadata has no key '{HEADER}'")
    return json.loads(metadata[HEADER])
