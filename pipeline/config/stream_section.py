"""The section of params.yaml on the stream."""

from __future__ import annotations

from typing import Literal

from pipeline.config.option_types import PositiveInt
from pipeline.config.section import Section


class Stream(Section):
    """How the images of the stream come.

    Attributes:
        online: each image comes once, in minibatches of ``train.batch_size``, and the rate of
            learning is constant; else each task's images pass in epochs.
        passes: steps on each minibatch of an online stream, one after another.
        boundaries: of an online stream: whether strategies are told where a task ends.
    """

    online: bool
    passes: PositiveInt
    boundaries: Literal["hidden", "told"]
