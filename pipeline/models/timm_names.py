"""The names of timm's networks, found without importing timm or torch."""

from __future__ import annotations

import difflib
import functools
import re
from importlib.util import find_spec
from pathlib import Path

PREFIX = "timm/"
TIMM_MISSING = (
    "this network is built by timm, which is not installed here; run "
    "`pip install 'cassle-pipeline[timm]'`"
)
NEAREST = 5  # names that a message shows, of some 1400
REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@functools.cache
def list_timm_names() -> frozenset[str]:
    """Return the names that timm's files register; none where timm is not installed.

    Reading its files takes 0.15 s, importing it seconds; the tests compare the two.
    """
    spec = find_spec("timm")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = [path for folder in folders for path in Path(folder, "models").glob("*.py")]
    return frozenset(name for path in files for name in REGISTERED.findall(path.read_text("utf-8")))


def require_timm_name(model: str) -> None:
    """Check that timm is installed and has a network.

    Args:
        model: the name in timm.

    Raises:
        ValueError: not so; without the name of the param.
    """
    names = list_timm_names()
    if not names:
        raise ValueError(TIMM_MISSING)
    if model in names:
        return
    bare = model.partition(".")[0]
    if bare in names:
        raise ValueError(
            f"'{PREFIX}{model[:80]}' names weights too, which belong in backbone.weights; the "
            f"network is '{PREFIX}{bare}'"
        )
    near = difflib.get_close_matches(model[:80], names, n=NEAREST, cutoff=0.5)
    nearest = f"nearest: {', '.join(PREFIX + name for name in near)}; " if near else ""
    raise ValueError(
        f"'{PREFIX}{model[:80]}' is unknown; {nearest}"
        "`python -c 'import timm; print(*timm.list_models())'` lists all"
    )
