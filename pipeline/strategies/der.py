"""Dark experience replay (Buzzega et al., 2020), without labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distributed.collectives import own_rows
from pipeline.methods.base import Method
from pipeline.methods.precision import in_float32
from pipeline.models.frozen import running_statistics
from pipeline.strategies.base import Step, Strategy, TaskStart
from pipeline.strategies.memory import Reservoir, memory_batch_size

CHUNK = 256  # images projected at a time when the memory is filled


@in_float32
def mean_squared_error(z: Tensor, stored: Tensor) -> Tensor:
    """Mean over vectors and dimensions of (z - stored)², both ``(N, D)``."""
    return functional.mse_loss(z, stored)


class DarkExperienceReplay(Strategy):
    """L_SSL + α · MSE between the present and the stored projections of memory images.

    A projection is stored when its image enters the memory, and never changed. Images are
    projected without augmentation, with BatchNorm's running statistics: so the term is 0 as
    long as the network has not changed. L_SSL sees the batch alone, as in the paper's DER;
    ``er+der`` replays the images as well (its DER++).

    Args:
        memory_size: images in the memory; 0 is finetune.
        batch_share: memory images for each image of the batch; at most the memory's, and a
            multiple of the world size.
        weight: α.
    """

    projections: Tensor

    def __init__(self, *, memory_size: int, batch_share: float, weight: float) -> None:
        super().__init__()
        self.memory = Reservoir(memory_size)
        self.register_buffer("projections", torch.zeros(0, 1))
        self.batch_share = batch_share
        self.weight = weight
        self._part, self._count = 1, 0

    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from the previous task, and project with the network it left."""
        self._normalize, self._generators = start.normalize, start.generators
        self._part, self._count = start.batch_size, round(self.batch_share * start.batch_size)
        places = self.memory.look_back(start, beside=("projections",))
        stored = torch.zeros(len(self.memory), start.method.projection_dim)
        if start.carried:
            before = start.carried["projections"]
            expected = (len(start.carried["images"]), stored.shape[1])
            if before.shape != expected:
                raise ValueError(f"projections are {tuple(before.shape)}, expected {expected}")
            stored[: len(before)] = before
        with torch.no_grad():
            method = start.method.to(start.device)
            for chosen in torch.split(places, CHUNK):
                images = self.memory.images[chosen].to(start.device)
                stored[chosen] = self._project(method, images).cpu().float()
        self.projections = stored

    def _project(self, method: Method, images: Tensor) -> Tensor:
        with running_statistics(method):
            return method.encode((self._normalize(images),)).projections[0]

    def count_images(self, batch_size: int, views: int) -> int:
        """Return the images of a step: memory images pass once, in each part of the batch."""
        parts = max(1, round(batch_size / self._part))
        held = memory_batch_size(self._count, len(self.memory))
        return batch_size * views + parts * held

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Return the mean squared error between present and stored projections."""
        count = memory_batch_size(self._count, len(self.memory))
        if count == 0:
            return {}
        places = own_rows(self.memory.draw_indices(count, self._generators("der", *step.at.stream)))
        present = self._project(step.method, self.memory.images[places])
        return {"der": self.weight * mean_squared_error(present, self.projections[places])}

    def carried(self) -> dict[str, Tensor]:
        """Return the memory and its projections."""
        return dict(self.memory.state_dict()) | {"projections": self.projections}
