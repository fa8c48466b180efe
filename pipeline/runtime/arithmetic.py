"""The arithmetic of a training: its precision, and what its rounding depends on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.runtime.device import Device

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["32-true", "bf16-mixed"]

CPU_DESCRIPTION = Path("/proc/cpuinfo")
# By Linux's names. Arm's, bf16, is left out: what training gains by it there was never measured.
BF16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def choose_precision(wanted: str, device: Device, network: nn.Module) -> Precision:
    """Return the precision by Lightning's name.

    ``auto`` is bf16-mixed on GPUs that compute in it, which NVIDIA's do from compute capability
    8.0 (Ampere) on, and on CPUs that multiply it, for networks that it makes faster there; else
    32-true. Older GPUs and CPUs emulate it, slower than float32.

    Args:
        wanted: ``train.precision``.
        device: where the network trains.
        network: what trains there.
    """
    if wanted == "auto":
        if device is Device.cuda:
            return "bf16-mixed" if _gpu_computes_in_bf16() else "32-true"
        gains = device is Device.cpu and cpu_multiplies_bf16() and is_faster_in_bf16(network)
        return "bf16-mixed" if gains else "32-true"
    assert wanted in ("32-true", "bf16-mixed"), f"train.precision {wanted} passed validation"
    return "bf16-mixed" if wanted == "bf16-mixed" else "32-true"


def explain_precision(wanted: str, chosen: Precision, device: Device, network: nn.Module) -> str:
    """Return the line that says which precision a training has, and why.

    Args:
        wanted: ``train.precision``.
        chosen: by all processes together.
        device: where the network trains.
        network: what trains there.
    """
    if wanted != "auto":
        return f"precision: {chosen}, as train.precision says"
    if chosen == "bf16-mixed":
        kind = "CPU" if device is Device.cpu else "GPU"
        return f"precision: {chosen}, which this {kind} computes in; 32-true is float32"
    if choose_precision(wanted, device, network) != chosen:
        return f"precision: {chosen}, since another process's machine does not compute in bfloat16"
    if device is Device.cpu and cpu_multiplies_bf16():
        return f"precision: {chosen}, since bfloat16 slows this network down"
    return f"precision: {chosen}, since bfloat16 is not what this machine computes in"


def is_faster_in_bf16(network: nn.Module) -> bool:
    """Return whether a CPU that multiplies bfloat16 trains a network faster in it.

    So it is with dense convolutions and matrix products, 1.2 to 1.9 times. With grouped or
    depthwise convolutions, or GroupNorm, training takes about twice as long as in float32. Measured
    with networks of each kind (docs/speed.md), and decided by the layers alone, so that one machine
    always chooses the same.
    """
    from torch import nn

    return not any(
        isinstance(layer, nn.GroupNorm) or (isinstance(layer, nn.Conv2d) and layer.groups > 1)
        for layer in network.modules()
    )


def cpu_multiplies_bf16() -> bool:
    """Return whether this machine's CPU multiplies bfloat16 by instructions of its own.

    Known on Linux alone; elsewhere False.
    """
    try:
        lines = CPU_DESCRIPTION.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    named = (line.partition(":") for line in lines)
    return any(
        name.strip() == "flags" and BF16_INSTRUCTIONS & set(flags.split())
        for name, _, flags in named
    )


def _gpu_computes_in_bf16() -> bool:
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def describe_rounding(device: Device) -> dict[str, str | int | bool]:
    """Return the settings that affect CPU rounding besides the code: instruction set, threads.

    Empty for a GPU.
    """
    import torch

    if device is not Device.cpu:
        return {}
    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16": cpu_multiplies_bf16(),
        "threads": torch.get_num_threads(),
    }
