"""Holding out a test part of the images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.data.image_files.file_options import FileOptions
from pipeline.data.image_files.tree import Item
from pipeline.data.parts import Part
from pipeline.errors import DataError

HASHES = 2**64  # how many different hashes a key can have


def split_off_test(
    items: Sequence[Item],
    options: FileOptions,
    digest_files: Callable[[Sequence[str]], Sequence[str]],
) -> dict[Part, list[Item]]:
    """Split images into a training and a test part, always the same way.

    Images without a class are all for training: nothing could be tested on them. Of each class
    in each domain a share is held out, at least one image and never all. With ``holdout_by:
    file`` these are the images whose paths have the smallest SHA-256, so that an added image
    moves few others. Else each image has a key, and all images of a key are on one side: those
    whose key's SHA-256 is in the lowest share of all hashes, wherever they are.

    Args:
        items: the images.
        options: ``holdout``, ``holdout_by`` and ``holdout_group`` count.
        digest_files: returns the SHA-256 of the bytes of files, given their paths.

    Raises:
        DataError: a class has only one image, its images belong together so that no part of them
            can be held out, or a path does not match ``holdout_group``.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        if item.kind and options.holdout:
            groups.setdefault((item.domain, item.kind), []).append(item)
    for (domain, kind), held in groups.items():
        if len(held) < 2:
            raise DataError(
                f"{f'{domain}/{kind}'.strip('/')} has one image alone, {held[0].path}: none is "
                "left to hold out for testing; add some, make folders train/ and test/, or set "
                "data.holdout: 0"
            )
    paths = [item.path for held in groups.values() for item in held]
    keys = _list_keys(paths, options, digest_files)
    if options.holdout_by == "file":
        chosen = _choose_by_rank(list(groups.values()), keys, options.holdout)
    else:
        chosen = _choose_by_hash(groups, keys, options.holdout)
    tested = {path for path, key in keys.items() if key in chosen}
    return {
        "train": [item for item in items if item.path not in tested],
        "test": [item for item in items if item.path in tested],
    }


def _list_keys(
    paths: Sequence[str],
    options: FileOptions,
    digest_files: Callable[[Sequence[str]], Sequence[str]],
) -> dict[str, str]:
    """Return the key of each image by its path.

    Raises:
        DataError: a path does not match the expression.
    """
    if options.holdout_by == "content":
        return dict(zip(paths, digest_files(paths), strict=True))
    if options.holdout_by == "name":
        return {path: PurePosixPath(path).stem for path in paths}
    if options.holdout_by == "group":
        pattern = re.compile(options.holdout_group or "")
        return {path: _match_group(pattern, path) for path in paths}
    return {path: path for path in paths}


def _match_group(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.search(path)
    key = None if found is None else found[1 if pattern.groups else 0]
    if key is None:
        raise DataError(
            f"data.holdout_group: '{pattern.pattern}' does not match {path}; it must match the "
            "path of each image in data.root"
        )
    return key


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def _choose_by_rank(
    groups: Sequence[Sequence[Item]], keys: Mapping[str, str], share: float
) -> set[str]:
    """Return the keys of a share of each group, rounded: those with the smallest SHA-256."""
    chosen: set[str] = set()
    for held in groups:
        count = min(max(1, round(share * len(held))), len(held) - 1)
        in_order = sorted(
            (keys[item.path] for item in held),
            key=lambda key: hashlib.sha256(key.encode()).digest(),
        )
        chosen |= set(in_order[:count])
    return chosen


def _choose_by_hash(
    groups: Mapping[tuple[str, str], Sequence[Item]], keys: Mapping[str, str], share: float
) -> set[str]:
    """Return the keys with the lowest hashes: a share of all that there can be.

    Whether a key is tested depends on it alone, but where a group would have no image to test
    or to train on.

    Raises:
        DataError: all images of a group have one key, or what another needs leaves it without
            images to test or to train on.
    """
    chosen = {key for key in keys.values() if _hash(key) < share * HASHES}
    of_groups = [{keys[item.path] for item in held} for held in groups.values()]
    for (domain, kind), group in zip(groups, of_groups, strict=True):
        found = sorted(group, key=_hash)
        if len(found) < 2:
            raise DataError(
                f"data.holdout_by: all images of {f'{domain}/{kind}'.strip('/')} belong together "
                f"by '{found[0]}', so none can be held out for testing; make folders train/ and "
                "test/, or set data.holdout_by: file"
            )
        # Rather a key by which no other group loses its last image of a part.
        if chosen.isdisjoint(found):
            last = {key for each in of_groups if len(each - chosen) == 1 for key in each - chosen}
            chosen.add(next((key for key in found if key not in last), found[0]))
        elif chosen.issuperset(found):
            last = {key for each in of_groups if len(each & chosen) == 1 for key in each & chosen}
            chosen.discard(next((key for key in reversed(found) if key not in last), found[-1]))
    for (domain, kind), group in zip(groups, of_groups, strict=True):
        if group <= chosen or not group & chosen:
            raise DataError(
                f"data.holdout_by: the images of {f'{domain}/{kind}'.strip('/')} belong together "
                f"with those of other classes, so that {'all' if group <= chosen else 'none'} "
                "of them would be held out for testing; make folders train/ and test/, or set "
                "data.holdout_by: file"
            )
    return chosen
