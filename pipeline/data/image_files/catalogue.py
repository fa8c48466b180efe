"""The image files of a data set, by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Listing:
    """The files of a part.

    Attributes:
        paths: relative to the root.
        labels: ``(N,)``, -1 where there are none.
        domains: places in the domains' names, ``(N,)``; None where there are none.
    """

    paths: list[str]
    labels: NDArray[np.int64]
    domains: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Catalogue:
    """All files of a data set.

    Attributes:
        class_names: by label; none where there are no labels.
        train: the training part.
        test: the test part.
        domain_names: in the order of the stream.
    """

    class_names: list[str]
    train: Listing
    test: Listing
    domain_names: Sequence[str] = ()
