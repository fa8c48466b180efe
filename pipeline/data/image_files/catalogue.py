"""The catalogue of a data set's image files, by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.image_files.content import list_first
from pipeline.data.image_files.file_options import FileOptions
from pipeline.data.image_files.kinds import KINDS
from pipeline.data.image_files.tree import Item
from pipeline.data.parts import PARTS, Part
from pipeline.errors import DataError


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


def choose_classes(
    root: Path, parts: dict[Part, list[Item]], options: FileOptions
) -> dict[Part, list[Item]]:
    """Return the images of the classes that ``data.classes`` names.

    Args:
        root: the data set's root, for messages.
        parts: its images.
        options: ``classes`` and ``common_classes`` count.

    Raises:
        DataError: a named class is missing, or the domains have no class in common.
    """
    domains: dict[str, set[str]] = {}
    for item in (item for part in PARTS for item in parts[part] if item.kind):
        domains.setdefault(item.domain, set()).add(item.kind)
    found = set[str]().union(*domains.values())
    if options.classes is not None:
        if missing := [name for name in options.classes if name not in found]:
            raise DataError(
                f"data.classes: {root} has no class {list_first(missing)}; it has "
                f"{list_first(sorted(found)) or 'none'}"
            )
        kept = set(options.classes)
    elif options.common_classes and domains:
        kept = set.intersection(*domains.values())
        if len(kept) < 2:
            raise DataError(
                f"data.classes: common: the domains of {root} ({list_first(sorted(domains))}) "
                f"share {len(kept)} classes; set data.classes: all, or name fewer in data.domains"
            )
    else:
        return parts
    return {part: [i for i in held if i.kind in kept] for part, held in parts.items()}


def build_catalogue(
    root: Path,
    parts: dict[Part, list[Item]],
    options: FileOptions,
    class_names: Sequence[str] | None = None,
    domain_names: Sequence[str] | None = None,
) -> Catalogue:
    """Return the catalogue of a data set, with labels and domains as numbers.

    Args:
        root: the data set's root, for messages.
        parts: its images.
        options: say which classes to use.
        class_names: the class names by label; None: those of the training part, sorted.
        domain_names: the domains to use, in order; None: those of the training part, sorted.

    Raises:
        DataError: a test image has a class that the training part lacks, or a wanted domain
            is missing.
    """
    train = parts["train"]
    if not train:
        raise DataError(f"{root} holds no {KINDS} image to train on")
    found = {item.domain for item in train} - {""}
    if domain_names is not None and (missing := [d for d in domain_names if d not in found]):
        raise DataError(
            f"data.domains: {root} has no domain {', '.join(missing)}; it has "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    domains = sorted(found) if domain_names is None else list(domain_names)
    if found:
        parts = {part: [i for i in held if i.domain in domains] for part, held in parts.items()}
    parts = choose_classes(root, parts, options)
    train = parts["train"]
    kinds = {item.kind for item in train} - {""}
    names = sorted(kinds) if class_names is None else list(class_names)
    if options.classes is not None or options.common_classes:
        names = [name for name in names if name in kinds]
    strange = sorted({item.kind for item in parts["test"]} - {"", *names})
    if strange and names:
        raise DataError(
            f"{root}: the test part has classes that the training part has not: "
            f"{list_first(strange)}"
        )
    labels = {name: label for label, name in enumerate(names)} | {"": -1}
    places = {name: place for place, name in enumerate(domains)}

    def listing(items: list[Item]) -> Listing:
        return Listing(
            [item.path for item in items],
            np.array([labels[item.kind] for item in items], np.int64),
            np.array([places[item.domain] for item in items], np.int64) if found else None,
        )

    return Catalogue(names, listing(parts["train"]), listing(parts["test"]), domains)
