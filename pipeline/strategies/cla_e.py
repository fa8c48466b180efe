"""CLA-E (Cignoni et al., CoLLAs 2025): align replayed images with a network that follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor

from pipeline.methods.base import Method, Position, Views
from pipeline.models.frozen import frozen_copy
from pipeline.models.loading import load_strictly, select_below
from pipeline.models.momentum import update_momentum
from pipeline.strategies.alignment import LatentAlignment
from pipeline.strategies.base import Step, TaskStart
from pipeline.strategies.memories.choice import MemoryKind

TEACHER = "teacher"  # begins the names of its carried tensors
PARTS = ("backbone", "projector")  # of the network that follows


class CLAE(LatentAlignment):
    """L_SSL(s ∪ r) - ω ½ Σ_v cos(a(z_r,v), z'_r,v), z' of a network that follows this one.

    Its backbone and projector begin as copies, and after each step move by ξ ← m ξ + (1 - m) θ.
    BatchNorm in it uses the statistics of the replayed views, as in the authors' public code,
    where it stays in train mode.

    Args:
        memory: see ``LatentAlignment``; likewise the four that follow.
        memory_size: see above.
        batch_share: see above.
        weight: see above.
        aligner_hidden: see above.
        momentum: m; 0.999 in the paper.
    """

    name: ClassVar[str] = "cla_e"
    purpose: ClassVar[str] = "cla_e"

    def __init__(
        self,
        *,
        memory: MemoryKind,
        memory_size: int,
        batch_share: float,
        weight: float,
        aligner_hidden: int,
        momentum: float,
    ) -> None:
        super().__init__(
            memory=memory,
            memory_size=memory_size,
            batch_share=batch_share,
            weight=weight,
            aligner_hidden=aligner_hidden,
        )
        self.momentum = momentum

    def begin_task(self, start: TaskStart) -> None:
        """Build the network that follows, or take it over as it was carried."""
        method = start.method
        held = [*dict(method.named_children()), *dict(method.named_buffers(recurse=False))]
        without = [name for name in held if name not in PARTS]
        self.teacher = frozen_copy(method, "batch", without=without)
        super().begin_task(start)

    def restore(self, start: TaskStart, beside: Sequence[str] = ()) -> None:
        """Load what was carried."""
        assert self.teacher is not None, "the task has begun"
        names = [f"{TEACHER}.{name}" for name in self.teacher.state_dict()]
        super().restore(start, (*beside, *names))
        load_strictly(self.teacher, select_below(start.carried, TEACHER))

    def find_targets(self, step: Step, rows: slice) -> Views:
        """Return the projections of the replayed views by the network that follows."""
        with torch.no_grad():
            replayed = tuple(view[rows] for view in step.views)
            return cast(Method, self.teacher).encode(replayed).projections

    def after_step(self, method: Method, at: Position) -> None:
        """Let the network follow, and the memory take in what has come."""
        teacher = cast(Method, self.teacher)
        update_momentum(teacher.backbone, method.backbone, self.momentum)
        update_momentum(teacher.projector, method.projector, self.momentum)
        super().after_step(method, at)

    def carried(self) -> dict[str, Tensor]:
        """Return the memory, the aligner and the network that follows."""
        assert self.teacher is not None, "the task has begun"
        teacher = {f"{TEACHER}.{name}": t for name, t in self.teacher.state_dict().items()}
        return super().carried() | teacher
