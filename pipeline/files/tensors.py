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

from pipeline.errors import PipelineError, explain_unreadable
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
    except PermissionError as problem:
        raise error(explain_unreadable(path, problem)) from problem
    except (OSError, ValueError, KeyError, RecursionError, OverflowError, MemoryError) as problem:
        raise error(f"{path} is damaged ({problem}); {remedy}") from problem


def _read(
    path: Path,
    error: type[PipelineError],
    remedy: str,
    load: Callable[[bytes], dict[str, Array]],
    save: Saver,
) -> tuple[dict[str, Array], Json]:
    try:
        # Read once: a change of the file between check and use cannot matter.
        return _parse(read_content(path), load, save)
    except FileNotFoundError:
        raise error(f"{path} is missing; {remedy}") from None
    except PermissionError as problem:
        raise error(explain_unreadable(path, problem)) from problem
    except (OSError, ValueError) as problem:
        raise error(
            f"{path} is damaged or was not written by this version of the pipeline "
            f"({problem}); {remedy}"
        ) from problem


def parse_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors in the bytes of a safetensors file, be it the pipeline's or another's.

    Raises:
        ValueError: they are damaged, or one of the pipeline's own does not match its checksum.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    if "content" in read_about(content):
        return _parse(content, load, save)[0]
    try:
        return load(content)
    except SafetensorError as problem:
        raise ValueError(str(problem)) from problem


def read_about(content: bytes) -> Json:
    """Return what the pipeline says of a file in its header; empty in a file of another program.

    Args:
        content: the bytes of a safetensors file, or its beginning with the whole header.

    Raises:
        ValueError: there is no header.
    """
    try:
        about = json.loads(_read_metadata(content).get(HEADER, "{}"))
    except (ValueError, RecursionError, AttributeError, TypeError) as problem:
        raise ValueError("it has no header of safetensors") from problem
    return about if isinstance(about, dict) else {}


def _parse(
    content: bytes, load: Callable[[bytes], dict[str, Array]], save: Saver
) -> tuple[dict[str, Array], Json]:
    """Return the tensors and the header of a file of the pipeline.

    Raises:
        ValueError: it is damaged, or of another kind.
    """
    from safetensors import SafetensorError

    try:
        held = load(content)
        header = unseal(_read_header(content))
        if header.get("format") != FORMAT:
            raise ValueError(f"it has format {header.get('format')}, expected {FORMAT}")
        if header.get("content") != hashlib.sha256(save(held)).hexdigest():
            raise ValueError("its tensors do not match their checksum")
        if content != save(held, _metadata(seal(header))):
            raise ValueError("it has bytes that are neither tensors nor header")
    except (SafetensorError, KeyError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem
    return held, header


def _metadata(sealed: Json) -> dict[str, str]:
    return {HEADER: json.dumps(sealed, sort_keys=True)}


def _read_header(content: bytes) -> Any:
    """Return the JSON object under the key ``cassle`` in a safetensors file's metadata."""
    metadata = _read_metadata(content)
    if HEADER not in metadata:
        raise ValueError(f"its metadata has no key '{HEADER}'")
    return json.loads(metadata[HEADER])


def _read_metadata(content: bytes) -> Any:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]).get("__metadata__") or {}
