"""The types of params and options, with the bounds that any sensible value keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from pipeline.data.names import normalize_name

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
Memory = Literal["reservoir", "fifo", "minred"]  # which images of the stream stay in a memory
# One probability for both views, or a list of two, one a view.
PerView = Annotated[
    Annotated[Fraction, Tag("both-views")]
    | Annotated[list[Fraction], Field(min_length=2, max_length=2), Tag("one-a-view")],
    Discriminator(lambda value: "one-a-view" if isinstance(value, list) else "both-views"),
]

Name = Annotated[str, AfterValidator(normalize_name)]  # of a class or a domain


def name_kinds(allowed: str) -> Discriminator:
    """Return what chooses a branch by the kind of a value: of a union whose tags name the kinds.

    Args:
        allowed: what a value may be, in words.
    """
    return Discriminator(
        lambda value: type(value).__name__,
        custom_error_type="kind_error",
        custom_error_message=f"Input should be {allowed}",
    )


# A class in class_order.
AnyClass = Annotated[
    Annotated[Name, Tag("str")] | Annotated[int, Tag("int")],
    name_kinds("the name or the number of a class"),
]
# A class, or the classes of a task.
ClassOrTask = Annotated[
    Annotated[Name, Tag("str")]
    | Annotated[int, Tag("int")]
    | Annotated[list[AnyClass], Tag("list")],
    name_kinds("the name or the number of a class, or a list of such"),
]
# One of two words, or a list of names.
Classes = Annotated[
    Annotated[Literal["all", "common"], Tag("word")]
    | Annotated[list[Name], Field(min_length=1), Tag("names")],
    Discriminator(lambda value: "names" if isinstance(value, list) else "word"),
]
Byte = Annotated[int, Field(ge=0, le=255)]
Background = Annotated[
    Annotated[Literal["white", "black"], Tag("word")]
    | Annotated[list[Byte], Field(min_length=3, max_length=3), Tag("color")],
    Discriminator(lambda value: "color" if isinstance(value, list) else "word"),
]


def _require_rising(milestones: list[int]) -> list[int]:
    if sorted(set(milestones)) != milestones:
        raise ValueError(f"milestones must rise, got {milestones}")
    return milestones


def _require_scale(scale: list[float]) -> list[float]:
    low, high = scale
    if not low <= high <= 1:
        raise ValueError(f"crop_scale must rise from above 0 to at most 1, got {scale}")
    return scale


Milestones = Annotated[list[PositiveInt], AfterValidator(_require_rising)]  # epochs
# The smallest and the largest share of the area that a crop keeps.
CropScale = Annotated[
    list[PositiveFloat], Field(min_length=2, max_length=2), AfterValidator(_require_scale)
]


def require_milestones(epochs: int, milestones: Sequence[int]) -> None:
    """Check that a schedule's milestones, which rise, come before its end.

    Raises:
        ValueError: they do not.
    """
    if milestones and milestones[-1] >= epochs:
        raise ValueError(f"milestones must be below epochs ({epochs}), got {list(milestones)}")
