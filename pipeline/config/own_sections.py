"""Sections of a YAML text that can be changed in one place, though they are named in several.

An anchor and its aliases stand for one value, and what is merged by ``<<`` is that of another
section: a change in one place would be one in all of them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from copy import deepcopy
from typing import Any


def own_section(holder: MutableMapping[Any, Any], key: object) -> Any:
    """Return a section to change: in its place a copy, where other places may share it.

    Args:
        holder: of the section.
        key: the section's.
    """
    if is_shared(holder, key):
        holder[key] = _copy_section(holder, key)
    return holder[key]


def is_shared(holder: MutableMapping[Any, Any], key: object) -> bool:
    """Return whether a section or list may stand in other places too.

    Args:
        holder: of the value.
        key: the value's.
    """
    from ruamel.yaml.comments import CommentedBase, CommentedMap

    value = holder[key]
    if not (isinstance(holder, CommentedMap) and isinstance(value, CommentedBase)):
        return True  # nothing says where plain values stand
    own = [known for known, _ in holder.non_merged_items()]
    return key not in own or value.anchor.value is not None


def _copy_section(holder: MutableMapping[Any, Any], key: object) -> Any:
    from ruamel.yaml.comments import Comment, CommentedMap

    value = holder[key]
    if not isinstance(value, CommentedMap):
        return deepcopy(value)
    copied = _copy_plainly(value)
    place = holder.lc.data.get(key) if isinstance(holder, CommentedMap) else None
    # Comments stay where they were written: at the anchor, and not at its aliases.
    if place is not None and place[0] <= value.lc.line and hasattr(value, Comment.attrib):
        setattr(copied, Comment.attrib, value.ca)
        delattr(value, Comment.attrib)
    return copied


def _copy_plainly(value: Any) -> Any:
    """A value as it is written, with all that is merged into it, without anchors and comments."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq, Format

    copied: Any
    if isinstance(value, CommentedMap):
        copied = CommentedMap()
        for key, inner in value.items():
            copied[key] = _copy_plainly(inner)
    elif isinstance(value, CommentedSeq):
        copied = CommentedSeq([_copy_plainly(inner) for inner in value])
    else:
        return value
    if hasattr(value, Format.attrib):
        setattr(copied, Format.attrib, value.fa)
    return copied
