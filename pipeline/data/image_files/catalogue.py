"""The catalogue of a data set's image files, by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Listing:
    """The image files of a part.

    Attributes:
        paths: the files, relative to the root.
        labels: their labels, ``(N,)``; -1 without labels.
        domains: indices into the domain names, ``(N,)``; None without domains.
    """

    paths: list[str]
    labels: NDArray[np.int64]
    domains: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Catalogue:
    """All image files of a data set.

    Attributes:
        class_names: the class names by label; empty without labels.
        train: the training part.
        test: the test part.
        domain_names: the domain names in the order of the stream.
    """

    class_names: list[str]
    train: Listing
    test: Listing
    domain_names: Sequence[str] = ()
