"""Features that were extracted before, by state and images.

They lie under ``.scratch/features`` and can be deleted: they are then extracted again, as long
as the images are here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import RunError
from pipeline.files.sealed_json import Json, digest
from pipeline.files.tensors import read_tensors, write_tensors

MAX_BYTES = 4 * 2**30  # of all that are kept; the ones that were used longest ago go


class FeatureCache:
    """Features of images, extracted once for each state.

    Args:
        folder: where they are kept.
        how: all that shapes features beside the state and the images.
        device: where they are extracted.
    """

    def __init__(self, folder: Path, how: Json, device: torch.device) -> None:
        self.folder = folder
        self.device = device
        rounding: Json = {
            "torch": version("torch"),
            "device": str(device),
            "threads": torch.get_num_threads(),
        }
        self.how = {**how, **rounding}

    def find(self, state: str, images: str) -> Tensor | None:
        """Return kept features, float32 ``(N, F)`` on the device; None where there are none.

        Args:
            state: the content of the state.
            images: the fingerprint of the images.
        """
        path = self._path(state, images)
        with suppress(RunError, OSError):
            held, header = read_tensors(path, RunError, "")
            if all(header.get(key) == value for key, value in _name(state, images).items()):
                os.utime(path)
                return held["features"].to(self.device)
        return None

    def extract(self, state: str, images: str, extract: Callable[[], Tensor]) -> Tensor:
        """Return kept features, or extract and keep them.

        Args:
            state: the content of the state.
            images: the fingerprint of the images.
            extract: extracts them.
        """
        found = self.find(state, images)
        if found is None:
            found = extract()
            # Without room nothing is kept, and nothing is lost.
            with suppress(RunError, OSError):
                write_tensors(self._path(state, images), {"features": found}, _name(state, images))
                self._prune()
        return found

    def _path(self, state: str, images: str) -> Path:
        name = digest({**self.how, **_name(state, images)})
        return self.folder / f"{name[:40]}.safetensors"

    def _prune(self) -> None:
        """Remove what was used longest ago, beyond the size that all may have."""
        held = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
        total = sum(status.st_size for status, _ in held)
        for status, path in sorted(held, key=lambda each: each[0].st_mtime):
            if total <= MAX_BYTES:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size


def _name(state: str, images: str) -> Json:
    return {"state": state, "images": images}
