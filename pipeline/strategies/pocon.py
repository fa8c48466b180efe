"""POCON (Gomez-Villa et al., WACV 2024): an expert learns, then one network takes both over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.distributed.collectives import gather_rows
from pipeline.methods.base import Method
from pipeline.methods.momentum import MomentumMethod
from pipeline.methods.precision import in_float32
from pipeline.models.frozen import frozen_copy
from pipeline.models.heads import mlp
from pipeline.strategies.base import Step, Strategy, TaskStart

EXPERT, PAST = "expert", "past"


@in_float32
def normalized_distance(adapted: Tensor, target: Tensor) -> Tensor:
    """Frobenius norm of ⟨m(f)⟩ - ⟨t⟩ over the global batch, both ``(N, F)``, rows of length 1."""
    apart = nn.functional.normalize(adapted) - nn.functional.normalize(target)
    distance: Tensor = torch.linalg.vector_norm(gather_rows(apart))
    return distance


class POCON(Strategy):
    """Two phases a task: an expert of the new images, then old and new knowledge in one network.

    1. The network, as the task before left it, is trained by L_SSL alone: the expert e. It never
       sees the past network, so nothing holds it back.
    2. The backbone goes back to what it was before the task, f̄, and is trained by
       Σ_v ‖⟨m(f(x_v))⟩ - ⟨e(x_v)⟩‖ + weight · Σ_v ‖⟨m'(f(x_v))⟩ - ⟨f̄(x_v)⟩‖, the norms over all
       entries of the batch, ⟨·⟩ rows of length 1, m and m' new in each task. The projector and
       what else belongs to L_SSL keep the expert's weights; the statistics of the projector's
       BatchNorm, which nothing reads, move on.

    Both are compared by features, and e and f̄ use BatchNorm's running statistics, as in the
    public code (alviur/pocon_wacv2024). There task 1 has both phases too; here its expert is the
    network, as for all strategies.

    Args:
        weight: of the past features.
        consolidation: epochs of the second phase, as a share of the first one's.
        adapter_hidden: the width of the hidden layer of m and m'.
    """

    def __init__(self, *, weight: float, consolidation: float, adapter_hidden: int) -> None:
        super().__init__()
        self.weight = weight
        self.consolidation = consolidation
        self.adapter_hidden = adapter_hidden
        self.adapters = nn.ModuleDict()

    def phases(self, counts: Sequence[int], batch_size: int, epochs: int) -> Sequence[int]:
        """Return the epochs of the expert, and of the consolidation after it."""
        return (epochs, max(1, round(self.consolidation * epochs)))

    def begin_task(self, start: TaskStart) -> None:
        """Freeze the backbone as the previous task left it, and build m and m'.

        Momentum networks begin as copies again: the expert is a copy of the network.
        """
        super().begin_task(start)
        backbone = start.method.backbone
        # The expert's weights come when it has learnt.
        self.teacher = nn.ModuleDict(
            {name: frozen_copy(backbone, "running") for name in (EXPERT, PAST)}
        )
        size = backbone.num_features
        for name in (EXPERT, PAST):
            self.adapters[name] = mlp([size, self.adapter_hidden, size], batch_norm=True)
        if isinstance(start.method, MomentumMethod):
            for slow, fast in start.method.list_copies():
                slow.load_state_dict(fast.state_dict())

    @property
    def _networks(self) -> nn.ModuleDict:
        return cast(nn.ModuleDict, self.teacher)

    def begin_phase(self, method: Method, phase: int) -> None:
        """Freeze the expert, and bring the backbone back to what it was before the task."""
        teacher = self._networks
        teacher[EXPERT].load_state_dict(method.backbone.state_dict())
        method.backbone.load_state_dict(teacher[PAST].state_dict())

    def objective(self, step: Step) -> Tensor | None:
        """Return L_SSL while the expert learns, and nothing after that."""
        return super().objective(step) if step.at.phase == 0 else None

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the distances to the expert's and to the past features, in the second phase."""
        if step.at.phase == 0:
            return {}
        teacher, count = self._networks, len(step.views)
        images, features = torch.cat(step.views), torch.cat(step.encoded.features)
        found = {}
        for name, weight in ((EXPERT, 1.0), (PAST, self.weight)):
            with torch.no_grad():
                targets: Tensor = teacher[name](images)
            adapted: Tensor = self.adapters[name](features)
            pairs = zip(adapted.chunk(count), targets.chunk(count), strict=True)
            found[name] = weight * torch.stack([normalized_distance(*pair) for pair in pairs]).sum()
        return found
