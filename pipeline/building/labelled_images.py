"""The labelled images that evaluation uses, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.artifacts.labelled_set import LabelledSet
from pipeline.artifacts.plans.parts import DatasetPlan
from pipeline.artifacts.split import REMEDY, Split, class_names, has_labelled_test, shared_test
from pipeline.building.data import LABELLED_TWICE, open_labelled, open_source
from pipeline.building.split_images import images_are_gone, note_images, open_images
from pipeline.building.task_images import as_keys
from pipeline.data.parts import PARTS, Part
from pipeline.data.source import Selection, Source
from pipeline.errors import DataError, shorten
from pipeline.files.sealed_json import Json
from pipeline.runtime.inputs import Inputs


def open_labelled_images(
    dataset: DatasetPlan, labelled: DatasetPlan | None, splits: Sequence[Split], inputs: Inputs
) -> LabelledImages:
    """The labelled images of a run, each noted among a stage's inputs once it is opened.

    Args:
        dataset: of the tasks.
        labelled: the folder of labelled images where those of the tasks have no labels.
        splits: of the tasks, from the first.
        inputs: what the stage is made from.

    Raises:
        DataError: there are those of the tasks and of ``data.labelled_root`` both.
    """
    if labelled is not None:
        if has_labelled_test(splits):
            raise DataError(LABELLED_TWICE)
        return ImagesFromElsewhere(open_labelled(labelled), splits, inputs)
    number = len(dataset.classes) or len(class_names(splits))
    for split in splits:
        if max(split.classes, default=-1) >= number:
            raise DataError(
                f"the split of task {split.task} has class {shorten(max(split.classes))}, but the "
                f"data set has {number}; {REMEDY}"
            )
    kind = LabelledImages if has_labelled_test(splits) else NoLabelledImages
    return kind(open_source(dataset), splits, inputs, dataset.classes)


class LabelledImages:
    """The images of the tasks that have labels.

    Args:
        source: the data set.
        splits: of all tasks.
        inputs: what the stage is made from.
        classes: the names of all classes, by label, where the data set fixes them.

    Attributes:
        shared: whether all tasks are tested on the same images.
        from_elsewhere: whether these are no images of the stream.
    """

    from_elsewhere = False

    def __init__(
        self, source: Source, splits: Sequence[Split], inputs: Inputs, classes: Sequence[str]
    ) -> None:
        self.source = source
        self.splits = splits
        self.inputs = inputs
        self.classes = classes
        self.shared = shared_test(splits)
        self._opened: dict[tuple[int, Part], Selection] = {}

    def describe(self) -> Json:
        """What there is to say of the images beyond the splits."""
        return {}

    def describe_folder(self) -> LabelledSet | None:
        """The folder of the images; None where they are those of the splits."""
        return None

    def present(self, asked: Sequence[int]) -> list[int]:
        """The labels that images of some tasks have, sorted."""
        held: dict[Part, Sequence[int]] = {"train": asked, "test": self.tested(asked)}
        return sorted(
            {
                label
                for part, tasks in held.items()
                for task in tasks
                for label in self.labels(task, part)
            }
        )

    def class_names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their labels."""
        names = list(self.classes) or class_names(self.splits)
        return [names[label] for label in labels]

    def tasks(self, reached: int) -> list[int]:
        """The numbers of those of the first tasks that have labels."""
        return [split.task for split in self.splits[:reached] if split.classes]

    def tested(self, asked: Sequence[int]) -> Sequence[int]:
        """Those of some tasks that have test images of their own; one where all share them."""
        return asked[:1] if self.shared else asked

    def fingerprint(self, task: int, part: Part) -> str:
        """The SHA-256 of the images of a task."""
        return self._split(task, part).fingerprint[part]

    def labels(self, task: int, part: Part) -> Sequence[int]:
        """The labels of the images of a task, ``(N,)``."""
        return self._split(task, part).labels[part]

    def are_gone(self, task: int) -> bool:
        """Whether the images of a task are no longer here."""
        return images_are_gone(self.source, self._split(task, "train"))

    def open(self, task: int, part: Part) -> Selection:
        """The images of a task.

        Raises:
            DataError: they are gone, or are other images than the split was made of.
        """
        if (task, part) not in self._opened:
            split = self._split(task, part)
            self._opened[task, part] = open_images(self.source, part, split, self.inputs)
        return self._opened[task, part]

    def _split(self, task: int, part: Part) -> Split:
        # Where the tasks are random parts, the last one's test images are those of all.
        return self.splits[-1 if self.shared and part == "test" else task - 1]


class NoLabelledImages(LabelledImages):
    """Of tasks of which none has labelled test images: no state is asked about any."""

    def tasks(self, reached: int) -> list[int]:
        """No tasks."""
        return []


class ImagesFromElsewhere(LabelledImages):
    """The images of a labelled folder, which stand for those of every task, as task 1.

    Args:
        source: the folder.
        splits: of all tasks, without labels.
        inputs: what the stage is made from.
    """

    from_elsewhere = True

    def __init__(self, source: Source, splits: Sequence[Split], inputs: Inputs) -> None:
        super().__init__(source, splits, inputs, source.class_names())
        self._labels: dict[Part, Sequence[int]] = {}
        for part in PARTS:
            keys = source.keys(part)
            bad = source.select(part, keys).unreadable()
            kept = [place for place in range(len(keys)) if place not in bad]
            named = as_keys([keys[place] for place in kept])
            what = f"the images in {source.root}"
            self._opened[1, part] = note_images(source, part, named, what, inputs)
            self._labels[part] = source.labels(part)[kept].tolist()

    def tasks(self, reached: int) -> list[int]:
        """The number under which all images stand."""
        return [1]

    def fingerprint(self, task: int, part: Part) -> str:
        """The SHA-256 of the images of a part."""
        return self._opened[task, part].fingerprint()

    def labels(self, task: int, part: Part) -> Sequence[int]:
        """The labels of the images of a part, ``(N,)``."""
        return self._labels[part]

    def are_gone(self, task: int) -> bool:
        """Whether the images are no longer here: else the folder could not be opened."""
        return False

    def describe(self) -> Json:
        """The fingerprints of the images, and their labels."""
        return {part: [self.fingerprint(1, part), self.labels(1, part)] for part in PARTS}

    def describe_folder(self) -> LabelledSet:
        """The folder of the images."""
        names = self.class_names(range(len(self.classes)))
        counts = {part: Counter(self.labels(1, part)) for part in PARTS}
        return LabelledSet(
            root=str(self.source.root),
            classes={
                part: {name: held[label] for label, name in enumerate(names) if held[label]}
                for part, held in counts.items()
            },
            fingerprint={part: self.fingerprint(1, part) for part in PARTS},
        )
