"""The section of params.yaml on the stream: how its images come, how it is cut, and what fits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.option_types import PositiveInt
from pipeline.config.section import Section
from pipeline.config.user_paths import UserPath
from pipeline.data.stream.tasks import ClassOrder

# Why boundaries of the other scenarios cannot be blurred.
NOT_BLURRED = {
    "data": "its random parts are mixed already, and a blurred one is as random",
    "domain": (
        "its tasks are domains, each tested by a classifier of its own images too, and a domain "
        "with images of its neighbours is none"
    ),
    "folders": "a folder that comes next would change the task before it",
}


class Stream(Section):
    """How the images of the stream come, and how it is cut; see docs/data.md.

    Attributes:
        online: each image comes once, in minibatches of ``train.batch_size``, and the rate of
            learning is constant; else each task's images pass in epochs.
        passes: steps on each minibatch of an online stream, one after another.
        boundaries: of an online stream: whether strategies are told where a task ends.
        imbalanced: the longest task to the shortest, where all were as long; see
            ``pipeline.data.stream.lengths``.
        blurred: of scenario: class: the share of a task's training images that lie where
            neighbouring tasks mix; see ``pipeline.data.stream.blurring``.
        irregular: of scenario: class: whether the numbers of classes a task are drawn; see
            ``pipeline.data.stream.division``.
        superclasses: of scenario: class: a CSV file that says which classes stay together; None:
            each comes for itself. See ``pipeline.config.superclasses``.
    """

    online: bool
    passes: PositiveInt
    boundaries: Literal["hidden", "told"]
    imbalanced: Annotated[float, Field(ge=1, le=1_000_000)]
    blurred: Annotated[float, Field(ge=0, le=1)]
    irregular: bool
    superclasses: UserPath | None


def check_cut(
    cut: Stream, scenario: str, num_tasks: int | None, class_order: ClassOrder | None
) -> None:
    """Check that a stream can be cut so, as far as possible without images.

    Args:
        cut: the section.
        scenario: as the param; likewise the two that follow.
        num_tasks: see above.
        class_order: see above.

    Raises:
        ValueError: it cannot.
    """
    if cut.blurred and scenario != "class":
        raise ValueError(
            f"stream.blurred mixes the classes of neighbouring tasks, so scenario must be class, "
            f"got {scenario} ({NOT_BLURRED[scenario]}); set stream.blurred: 0"
        )
    if cut.imbalanced > 1 and scenario == "folders":
        raise ValueError(
            "stream.imbalanced leaves out images by how many tasks there are, and scenario: "
            "folders takes each folder as it comes; set stream.imbalanced: 1"
        )
    for name, given in (("irregular", cut.irregular), ("superclasses", cut.superclasses)):
        if given and scenario != "class":
            raise ValueError(
                f"stream.{name} says how classes are divided over the tasks, so scenario must be "
                f"class, got {scenario}; leave it out (stream.{name}: "
                f"{'false' if given is True else 'null'})"
            )
    if cut.superclasses is not None and class_order is not None:
        raise ValueError(
            "stream.superclasses and class_order both say which classes come together; give one "
            "of them, and null for the other"
        )
    if cut.irregular and any(not isinstance(each, str | int) for each in class_order or ()):
        raise ValueError(
            "stream.irregular draws how many classes each task holds, and the lists of class_order "
            "say it; give class_order without lists, or set stream.irregular: false"
        )
    drawn = {"blurred": cut.blurred > 0, "imbalanced": cut.imbalanced > 1}
    drawn["irregular"] = cut.irregular
    if num_tasks == 1 and any(drawn.values()):
        name = next(name for name, given in drawn.items() if given)
        raise ValueError(f"stream.{name} needs two tasks or more, and num_tasks is 1")
