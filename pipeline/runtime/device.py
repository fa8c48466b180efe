"""The device of a stage."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.errors import RunError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Device(StrEnum):
    """The values of ``--device``."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


def choose_device(wanted: Device) -> Device:
    """Return the device to use; for ``auto`` a GPU if there is one, else the CPU.

    Raises:
        RunError: the wanted device is not available.
    """
    import torch

    there = {Device.cpu}
    if torch.cuda.is_available():
        there.add(Device.cuda)
    if torch.backends.mps.is_available():
        there.add(Device.mps)
    if wanted is Device.auto:
        return next(d for d in (Device.cuda, Device.mps, Device.cpu) if d in there)
    if wanted not in there:
        raise RunError(
            f"--device {wanted} is not available here; use --device "
            f"{' or '.join(sorted(there))}, or leave it out"
        )
    return wanted


def require_devices(device: Device, count: int) -> None:
    """Check that the machine has ``count`` devices of this kind; a CPU always passes.

    Raises:
        RunError: it has fewer.
    """
    import torch

    if device is Device.mps and count > 1:
        raise RunError(f"train.devices is {count}, but mps is one device; set it to 1")
    if device is Device.cuda and torch.cuda.device_count() < count:
        raise RunError(
            f"train.devices is {count}, but there are {torch.cuda.device_count()} GPUs here; set "
            "it to that (with train.sync_batchnorm: true the result is the same within rounding), "
            "or use --device cpu"
        )


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on a device; a GPU copies when it comes to it, and is not waited for."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


def to_float64(tensor: Tensor) -> Tensor:
    """Return a tensor in float64; on the CPU if its device (mps) has no float64."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
