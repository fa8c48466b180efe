"""The machine of a measurement: what it is, and the memory that was used on it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version

from pipeline.runtime.device import Device


def describe_machine(device: Device) -> str:
    """Return the description of this machine and of its training device."""
    cores = f"{os.cpu_count() or 1} cores ({platform.machine()})"
    if device is Device.cuda:
        import torch

        cores = f"{torch.cuda.get_device_name()}, {cores}"
    elif device is Device.mps:
        cores = f"mps, {cores}"
    return f"{cores}, torch {version('torch')}"


def read_peak_memory(device: Device) -> float:
    """Return the peak memory so far in MiB: of a GPU's tensors, else of the process."""
    if device is Device.cuda:
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return read_process_peak(resource.RUSAGE_SELF)


def read_process_peak(*whose: int) -> float:
    """Return the peak memory of the largest of some processes so far, in MiB.

    Args:
        whose: ``resource.RUSAGE_SELF``, ``resource.RUSAGE_CHILDREN``.
    """
    # macOS counts it in bytes, Linux in KiB.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in whose) / unit
