"""MNIST (LeCun et al., 1998)."""

from __future__ import annotations

from pipeline.data.datasets.idx_source import IdxSource
from pipeline.data.parts import Part
from pipeline.data.source import Bytes
from pipeline.errors import DataError


class MNIST(IdxSource):
    """MNIST, in ``root`` or in torchvision's folder below it."""

    title = "MNIST"
    digests = (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    )

    def _read(self, part: Part) -> tuple[Bytes, Bytes]:
        if not self.full:
            raise DataError(
                "data.full: MNIST has no subset that comes with the project; "
                "set data.full: true and data.root: data/raw"
            )
        return self._read_published(part)
