"""Two random views of a batch of images, made on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.data.augmentation import image_ops
from pipeline.data.augmentation.recipe import JITTERS, NEUTRAL, DrawnView, draw_batches
from pipeline.data.augmentation.resampling import resized_crop
from pipeline.data.augmentation.view_augment import ViewAugment
from pipeline.data.augmentation.whole_crops import (
    Shapes,
    central_crops,
    choose_crops,
    crop_whole,
    read_shapes,
)
from pipeline.runtime.device import send

SOLARIZE_THRESHOLD = 0.5
COLOR_CHANGES = {
    "brightness": image_ops.adjust_brightness,
    "contrast": image_ops.adjust_contrast,
    "saturation": image_ops.adjust_saturation,
    "hue": image_ops.adjust_hue,
}

# Takes images and their indices in the batch.
Change = Callable[[Tensor, Tensor], Tensor]


class Augment:
    """Make one view of each image of a batch for each recipe.

    All random parameters are drawn on the CPU from one generator, so the views are
    the same on every device; the arithmetic runs on the images' device.

    Args:
        recipes: one recipe a view.
        size: height and width of the views in pixels.
        mean: mean of each channel in [0, 1], subtracted from the views.
        std: standard deviation of each channel, by which they are divided.
        rank: this process's rank; it gets the rows of this rank of the global batch.
        processes: the world size. Each rank draws for the global batch, so all ranks together
            make the views that a single process would.
        whole: whether images are whole ones on canvases, see ``pipeline.data.canvas``.
    """

    def __init__(
        self,
        recipes: Sequence[ViewAugment],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        rank: int = 0,
        processes: int = 1,
        whole: bool = False,
    ) -> None:
        self.recipes = tuple(recipes)
        self.size = size
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]
        self.rank = rank
        self.processes = processes
        self.whole = whole

    def __call__(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return the views, each float ``(N, C, size, size)``, of uint8 ``(N, C, H, W)``."""
        ((drawn, _),) = self.draw_batches(images.shape, generator)
        return self.make_views(images, drawn)

    def make_views(self, images: Tensor, drawn: Sequence[DrawnView]) -> tuple[Tensor, ...]:
        """Return the views of images from parameters that were drawn before."""
        # Pixels stay float32: bfloat16 keeps 8 bits of them, and matrix products would round.
        with torch.autocast(images.device.type, enabled=False), torch.no_grad():
            scaled, shapes = self._scale(images)
            return tuple(self._view(scaled, shapes, one) for one in drawn)

    def normalize(self, images: Tensor) -> Tensor:
        """Return the normalised centre crop of uint8 images, float ``(N, C, size, size)``."""
        if self.whole:
            return self._normalize_in_place(self.crop_centers(images, self.size))
        top, left = ((side - self.size) // 2 for side in images.shape[-2:])
        centre = images[..., top : top + self.size, left : left + self.size]
        return self._normalize_in_place(centre / 255)

    def crop_centers(self, canvases: Tensor, size: int) -> Tensor:
        """Return the centres of whole images on canvases, float ``(N, 3, size, size)``.

        Args:
            canvases: uint8 ``(N, 3, H, side)``.
            size: height and width in pixels, at most ``side``.
        """
        with torch.autocast(canvases.device.type, enabled=False):
            scaled, shapes = self._scale(canvases)
            assert shapes is not None, "the images are no canvases"
            return crop_whole(scaled, shapes, central_crops(shapes, size), size)

    def _scale(self, images: Tensor) -> tuple[Tensor, Shapes | None]:
        """Return images in [0, 1], and the shapes of whole ones."""
        shapes, pixels = None, images
        if self.whole:
            shapes, pixels = read_shapes(images), images[:, :, 1:]
            if images.device.type == "cpu":  # a GPU would be waited for
                pixels = pixels[:, :, : int(shapes.length.max())]
        # Bytes are moved, not floats: cropping needs the channels of a row beside each other.
        return (pixels.transpose(1, 2).contiguous() / 255).transpose(1, 2), shapes

    def _normalize_in_place(self, images: Tensor) -> Tensor:
        """Subtract the data set's mean and divide by its deviation, in place."""
        if self.mean.device != images.device:
            self.mean, self.std = (send(each, images.device) for each in (self.mean, self.std))
        return images.sub_(self.mean).div_(self.std)

    def draw_batches(
        self, shape: torch.Size, generator: torch.Generator, batches: int = 1
    ) -> list[tuple[list[DrawnView], Tensor]]:
        """Draw for the global batch, and keep this rank's rows.

        Args:
            shape: the shape of this rank's images, ``(N, C, H, W)``.
            generator: a CPU generator.
            batches: the number of batches of that shape.

        Returns:
            For each batch the drawn parameters of each view, and the generator's state after it.
        """
        rows, channels, height, width = shape

        def own(drawn: Tensor) -> Tensor:
            return drawn if self.processes == 1 else drawn.chunk(self.processes, dim=-1)[self.rank]

        count = rows * self.processes
        shape_of_all = None if self.whole else (height, width)
        return draw_batches(self.recipes, count, channels, shape_of_all, own, generator, batches)

    def _view(self, images: Tensor, shapes: Shapes | None, drawn: DrawnView) -> Tensor:
        drawn = drawn.send(images.device)
        # Mirrored by the weights of the crop: nothing that follows tells left from right.
        flip = drawn.flip
        if shapes is None:
            top, left, height, width = drawn.crops
            view = resized_crop(
                images, top, left, height, width, self.size, flip, drawn.interpolation
            )
        else:
            crops = choose_crops(drawn.crops, shapes.height(), shapes.width())
            view = crop_whole(images, shapes, crops, self.size, flip, drawn.interpolation)
        factors = [(COLOR_CHANGES[name], factor) for name, factor in drawn.factors]

        def jitter(some: Tensor, at: Tensor) -> Tensor:
            for operation, factor in factors:
                some = operation(some, factor[at], some)
            return some

        def twist(some: Tensor, at: Tensor) -> Tensor:
            held = {name: factor[at] for name, factor in drawn.factors}
            neutral = {n: torch.full(at.shape, NEUTRAL[n], device=at.device) for n in JITTERS}
            return image_ops.twist_colors(some, *(neutral | held).values())

        if drawn.jitter_style == "dali":
            view = _change(view, drawn.jitter, twist)
        elif any(name == "hue" for name, _ in drawn.factors):
            # Expensive, and not exact for a turn of 0: so only the chosen images are changed.
            view = _change(view, drawn.jitter, jitter)
        else:
            # A neutral factor on all images is cheaper than to take images out and put them back.
            for operation, factor in factors:
                operation(view, factor, view)
        view = _change(
            view,
            drawn.grey,
            lambda some, at: image_ops.rgb_to_grayscale(some).expand_as(some),
        )
        if drawn.sigma is not None:
            kernel_size, sigma = max(3, self.size // 10 | 1), drawn.sigma
            view = _change(
                view,
                drawn.blur,
                lambda some, at: image_ops.gaussian_blur(some, kernel_size, sigma[at]),
            )
        view = _change(
            view,
            drawn.solarize,
            lambda some, at: image_ops.solarize(some, SOLARIZE_THRESHOLD),
        )
        return self._normalize_in_place(view)


def _change(images: Tensor, chosen: Tensor | None, change: Change) -> Tensor:
    """Return the images, those that are chosen changed; on a CPU in place.

    Args:
        images: ``(N, C, H, W)``.
        chosen: bool ``(N,)``, on the CPU so that a GPU is not waited for; None: no image.
        change: takes a copy of the chosen images, ``(M, C, H, W)``, and their indices ``(M,)``.
    """
    if chosen is None:
        return images
    places = chosen.nonzero().flatten()
    if not len(places):
        return images
    at = send(places, images.device)
    # Channels first, as they lie in memory: see pipeline.data.augmentation.resampling.
    planes = images.transpose(0, 1)
    changed = change(planes.index_select(1, at).transpose(0, 1), at).transpose(0, 1)
    if images.device.type == "cpu":
        planes.index_copy_(1, at, changed)  # there a fraction of the time of what follows
        return images
    return gather_changed(planes, changed, chosen).transpose(0, 1)


def gather_changed(planes: Tensor, changed: Tensor, chosen: Tensor) -> Tensor:
    """Return planes with those of the chosen images replaced.

    Gathers: on a GPU, writing to given places would sort them, and wait.

    Args:
        planes: ``(C, N, H, W)``.
        changed: of the chosen images, in their order, ``(C, M, H, W)``.
        chosen: bool ``(N,)``, on the CPU.
    """
    count = len(chosen)
    # Where each image comes from: its own place, or behind all images, where the changed ones are.
    source = torch.where(chosen, count - 1 + chosen.cumsum(0), torch.arange(count))
    return torch.cat([planes, changed], dim=1).index_select(1, send(source, planes.device))
