"""The types of params and options, with the bounds that any sensible value keeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

PositiveFloat = Annotated[float, Field(gt=0, le=1000)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1000)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]  # of a loss term
Temperature = Annotated[float, Field(ge=0.001, le=1000)]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Width = Annotated[int, Field(ge=1, le=16384)]  # of a layer
Widths = Annotated[list[Width], Field(min_length=1, max_length=16)]
