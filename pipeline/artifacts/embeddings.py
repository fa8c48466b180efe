"""Features of image files in one file: NumPy's npz, or Parquet where pyarrow is installed.

It says which encoder made them, and of each image the size and the time of the last change: a
file that has neither changed need not be embedded again.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RunError, describe_missing
from pipeline.files.atomic import is_special, write_bytes
from pipeline.files.sealed_json import Json, seal, unseal
from pipeline.files.typed_json import get_typed

FORMAT = 1
HEADER = "cassle"
ARRAYS = ("paths", "features", "sizes", "times")
ENDINGS = (".npz", ".parquet")
ANY_TIME = (1980, 1, 1, 0, 0, 0)  # zip's earliest: the same features give the same bytes


@dataclass(frozen=True)
class Embeddings:
    """Features of the images of a folder.

    Attributes:
        encoder: SHA-256 of all that shapes a feature of the encoder.
        root: the folder, as an absolute path.
        paths: the images, relative to the folder, sorted by name in each folder.
        features: float32 ``(N, F)``, in the order of the paths.
        sizes: bytes of each file, ``(N,)``.
        times: when each was last changed, in nanoseconds since 1970, ``(N,)``.
        unreadable: images without features, each with the reason.
    """

    encoder: str
    root: str
    paths: Sequence[str]
    features: NDArray[np.float32]
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def nearest(self, features: NDArray[np.float32], count: int = 10) -> list[tuple[str, float]]:
        """Return the images whose features point most nearly the same way.

        Args:
            features: of one image, ``(F,)`` or ``(1, F)``.
            count: how many; all, if there are fewer.

        Returns:
            Their paths and cosines, the nearest first.
        """
        query = features.reshape(-1)
        norms = np.linalg.norm(self.features, axis=1) * np.linalg.norm(query)
        cosines = (self.features @ query) / np.maximum(norms, np.finfo(np.float32).tiny)
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(self.paths[place], float(cosines[place])) for place in order]


def require_ending(path: Path) -> None:
    """Check that a file of this name can be written.

    Raises:
        RunError: it has another ending, or pyarrow is not installed.
    """
    if path.suffix not in ENDINGS:
        raise RunError(f"{path} ends neither in .npz nor in .parquet; name such a file")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        missing = describe_missing(str(path), "pyarrow", "parquet")
        raise RunError(f"{missing}, or write an .npz file")


def write_embeddings(path: Path, held: Embeddings) -> None:
    """Write embeddings, whole or not at all.

    Raises:
        RunError: as ``require_ending``, or the file cannot be written.
    """
    require_ending(path)
    about = seal(
        {
            "format": FORMAT,
            "encoder": held.encoder,
            "root": held.root,
            "unreadable": dict(held.unreadable),
        }
    )
    pack = _pack_npz if path.suffix == ".npz" else _pack_parquet
    write_bytes(path, pack(held, json.dumps(about, sort_keys=True)))


def read_embeddings(path: Path) -> Embeddings:
    """Return the embeddings in a file.

    Raises:
        RunError: it is missing, damaged or another kind of file, or pyarrow is not installed.
    """
    require_ending(path)
    try:
        if is_special(path):
            raise ValueError("it is no file")
        unpack = _unpack_npz if path.suffix == ".npz" else _unpack_parquet
        arrays, text = unpack(path)
        return _parse(arrays, unseal(json.loads(text)))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; `cassle embed FOLDER -o {path}` makes it") from None
    except Exception as error:  # the readers of damaged archives and tables raise many types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(
            f"{path} is damaged or was not written by `cassle embed` ({reason}); name another "
            "file, or delete it"
        ) from error


def _parse(arrays: Mapping[str, NDArray[np.generic]], about: Json) -> Embeddings:
    if about.get("format") != FORMAT:
        raise ValueError(f"it has format {about.get('format')}, expected {FORMAT}")
    features, count = arrays["features"], len(arrays["paths"])
    if features.ndim != 2 or features.dtype != np.float32 or arrays["paths"].dtype.kind != "U":
        raise ValueError(f"its features are {features.dtype} of shape {features.shape}")
    numbers = {name: arrays[name] for name in ("sizes", "times")}
    if any(array.dtype != np.int64 or array.shape != (count,) for array in numbers.values()):
        raise ValueError("its sizes and times are not one number an image")
    if len(features) != count:
        raise ValueError(f"it has {count} paths and {len(features)} features")
    return Embeddings(
        encoder=get_typed(about, str, "encoder"),
        root=get_typed(about, str, "root"),
        paths=[str(path) for path in arrays["paths"]],
        features=features.astype(np.float32, copy=False),
        unreadable=get_typed(about, dict[str, str], "unreadable"),
        **{name: array.astype(np.int64, copy=False) for name, array in numbers.items()},
    )


def _pack_npz(held: Embeddings, about: str) -> bytes:
    arrays = {name: np.asarray(getattr(held, name)) for name in ARRAYS}
    arrays["paths"] = np.array(held.paths, np.str_)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in {**arrays, HEADER: np.array(about)}.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, array)
            # Paths have four bytes a letter, mostly zero.
            how = zipfile.ZIP_DEFLATED if name == "paths" else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ANY_TIME), part.getvalue(), how)
    return content.getvalue()


def _unpack_npz(path: Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in (*ARRAYS, HEADER):
            with archive.open(f"{name}.npy") as part:
                arrays[name] = np.lib.format.read_array(part)  # refuses what is pickled
    return arrays, str(arrays.pop(HEADER).item())


def _pack_parquet(held: Embeddings, about: str) -> bytes:
    import pyarrow
    from pyarrow import parquet

    width = held.features.shape[1]
    flat = pyarrow.array(held.features.reshape(-1), pyarrow.float32())
    columns = {
        "path": pyarrow.array(list(held.paths), pyarrow.string()),
        "features": pyarrow.FixedSizeListArray.from_arrays(flat, width),
        "size": pyarrow.array(held.sizes),
        "time": pyarrow.array(held.times),
    }
    table = pyarrow.table(columns).replace_schema_metadata({HEADER: about})
    content = io.BytesIO()
    parquet.write_table(table, content)
    return content.getvalue()


def _unpack_parquet(path: Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    from pyarrow import parquet

    with path.open("rb") as file:
        table = parquet.read_table(file)
    about = (table.schema.metadata or {})[HEADER.encode()].decode()
    lists = table["features"].combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    arrays = {
        "paths": np.array(table["path"].to_pylist(), np.str_),
        "features": flat.reshape(len(table), lists.type.list_size),
        "sizes": table["size"].to_numpy(),
        "times": table["time"].to_numpy(),
    }
    return arrays, about
