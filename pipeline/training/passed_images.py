"""A count of the images that pass through the networks of a training."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.models.backbone import Backbone


@dataclass
class PassedImages:
    """Images that have passed through a backbone in this process, each view counted.

    Attributes:
        forward: through the student's, a teacher's or a momentum network's.
        teacher: those of them that passed through the strategy's own.
        backward: those of them that passed backward too.
    """

    forward: int = 0
    teacher: int = 0
    backward: int = 0

    def watch(self, learner: nn.Module, strategy: nn.Module) -> None:
        """Count what passes from now on.

        Args:
            learner: holds all networks.
            strategy: inside of it.
        """
        teachers = set(strategy.modules())

        def count(backbone: nn.Module, inputs: tuple[Tensor], features: Tensor) -> None:
            images = len(inputs[0])
            self.forward += images
            self.teacher += images if backbone in teachers else 0
            self.backward += images if features.requires_grad else 0

        for module in learner.modules():
            if isinstance(module, Backbone):
                module.register_forward_hook(count)
