"""What the code that made a run is called, in reports and model cards."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.config.fingerprint import digest_sources
from pipeline.runtime.git import identify_code

DISTRIBUTION = "cassle-pipeline"  # the name under which the code is installed


def name_code() -> str:
    """What the code is called: by git, where it lies here, else by its version and its digest."""
    # Elsewhere git knows the revision of somebody's project, which is not the code's.
    if Path("pipeline").is_dir():
        return identify_code()
    try:
        known = version(DISTRIBUTION)
    except PackageNotFoundError:
        known = "of no version"
    return f"{DISTRIBUTION} {known}, SHA-256 {digest_sources()[:12]} of its files"
