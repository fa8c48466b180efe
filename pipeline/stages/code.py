"""code: which code is installed, for projects that do not hold it themselves."""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.plans.files import plan_text
from pipeline.artifacts.plans.sources import SourcesPlan
from pipeline.config.fingerprint import digest_sources
from pipeline.files.atomic import write_text


def write() -> None:
    """Write the digest of the package's files.

    Raises:
        RunError: it cannot be written.
    """
    write_text(layout.CODE, plan_text(SourcesPlan(digest_sources())))
