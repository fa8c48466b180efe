"""Tests of the precision that ``train.precision: auto`` chooses, and of what says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.models.resnet import ResNet18
from pipeline.models.small_resnet import SmallResNet
from pipeline.models.timm_network import TimmNetwork
from pipeline.runtime.arithmetic import (
    Precision,
    choose_precision,
    cpu_multiplies_bf16,
    describe_rounding,
    explain_precision,
    is_faster_in_bf16,
)
from pipeline.runtime.device import Device

DENSE = nn.Linear(2, 2)
GROUPED = nn.Conv2d(4, 4, 3, groups=4)
PLAIN = "processor : 0\nflags\t\t: fpu avx512f avx512_vnni\n"
EPYC = "processor : 0\nmodel name : bf16\nflags\t\t: fpu avx512f avx512_bf16\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"


@pytest.mark.parametrize(("text", "expected"), [(PLAIN, False), (EPYC, True), (GRAVITON, False)])
def test_the_cpu_is_known_by_its_instructions(
    text: str, expected: bool, cpu_description: Path
) -> None:
    cpu_description.write_text(text)
    assert cpu_multiplies_bf16() == expected
    assert describe_rounding(Device.cpu)["bf16"] == expected
    chosen: Precision = "bf16-mixed" if expected else "32-true"
    assert choose_precision("auto", Device.cpu, DENSE) == chosen
    assert choose_precision("32-true", Device.cpu, DENSE) == "32-true"
    assert choose_precision("bf16-mixed", Device.cpu, DENSE) == "bf16-mixed"
    assert choose_precision("auto", Device.mps, DENSE) == "32-true"


def test_a_cpu_that_no_file_describes_trains_in_float32(cpu_description: Path) -> None:
    assert not cpu_description.exists()
    assert choose_precision("auto", Device.cpu, DENSE) == "32-true"


def test_networks_that_bf16_slows_down_train_in_float32(cpu_description: Path) -> None:
    cpu_description.write_text(EPYC)
    small = SmallResNet(1, "conv3", widths=[4, 8], blocks=1, norm="group")
    assert is_faster_in_bf16(SmallResNet(1, "conv3", widths=[4, 8], blocks=1, norm="batch"))
    assert not is_faster_in_bf16(small)
    assert is_faster_in_bf16(ResNet18(3, "conv3", norm="batch"))
    assert choose_precision("auto", Device.cpu, small) == "32-true"
    assert choose_precision("bf16-mixed", Device.cpu, small) == "bf16-mixed"
    assert choose_precision("auto", Device.cpu, GROUPED) == "32-true"
    assert choose_precision("auto", Device.cpu, nn.Conv2d(4, 4, 3)) == "bf16-mixed"


@pytest.mark.parametrize(
    ("model", "expected"),
    [("resnet18", True), ("vit_tiny_patch16_224", True), ("mobilenetv3_small_050", False)],
)
def test_networks_of_timm_are_told_apart_by_their_layers(model: str, expected: bool) -> None:
    pytest.importorskip("timm")
    assert (
        is_faster_in_bf16(TimmNetwork(3, model=model, image_size=224, patch_size=None)) == expected
    )


@pytest.mark.parametrize(
    ("major", "expected"), [(7, "32-true"), (8, "bf16-mixed"), (9, "bf16-mixed")]
)
def test_auto_takes_no_emulated_bf16(
    major: int, expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=major)
    )
    assert choose_precision("auto", Device.cuda, DENSE) == expected
    assert choose_precision("bf16-mixed", Device.cuda, DENSE) == "bf16-mixed"


@pytest.mark.parametrize(
    ("wanted", "chosen", "text", "network", "said"),
    [
        ("32-true", "32-true", EPYC, DENSE, "precision: 32-true, as train.precision says"),
        ("auto", "bf16-mixed", EPYC, DENSE, "which this CPU computes in"),
        ("auto", "32-true", EPYC, GROUPED, "bfloat16 slows this network down"),
        ("auto", "32-true", EPYC, DENSE, "another process's machine does not compute in bfloat16"),
        ("auto", "32-true", PLAIN, DENSE, "not what this machine computes in"),
    ],
)
def test_a_line_says_what_was_chosen_and_why(
    wanted: str, chosen: Precision, text: str, network: nn.Module, said: str, cpu_description: Path
) -> None:
    cpu_description.write_text(text)
    assert said in explain_precision(wanted, chosen, Device.cpu, network)
