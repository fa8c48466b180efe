"""What all sections of params.yaml are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pipeline.files.sealed_json import Json


class Section(BaseModel):
    """A section of params.yaml, without unknown keys or silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Choices(Section):
    """A section with one more section for each component that has options.

    Those are not here: ``pipeline.config.params`` adds what the registry lists.
    """

    def options_of(self, name: str) -> Json | None:
        """Return the options given for a component; None where there are none."""
        given = getattr(self, name, None)
        return given.model_dump() if isinstance(given, Section) else None
