"""bench: what training costs beside its arithmetic, in ratios measured within one run."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks import startup, whole
from benchmarks.plans import plan_task_2
from benchmarks.precision import PRECISIONS
from benchmarks.processes import Measurements, medians, run_module
from benchmarks.setting import Setting, write_setting
from benchmarks.table import Results, markdown
from pipeline import layout
from pipeline.config import presets
from pipeline.config.read import load_params
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.resolve import resolve
from pipeline.errors import RunError, closest
from pipeline.files.atomic import write_text
from pipeline.files.sealed_json import Json, write_json
from pipeline.runtime.device import Device, choose_device
from pipeline.runtime.machine import describe_machine

JSON, TABLE = layout.REPORTS / "benchmark.json", layout.REPORTS / "benchmark.md"
PEERS = layout.SCRATCH / "peers" / "bin" / "python"
STEPS, PASSES = "benchmarks.steps", "benchmarks.passes"
PRECISION, PEER = "benchmarks.precision", "benchmarks.peers.simclr"
PRESETS = {"default": None, "resnet18": "cifar100_simclr"}
# Blocks of steps; a block is an epoch. One of ResNet-18's takes half a minute, and a checkpoint.
# Views are drawn for eight steps at once, so all blocks together hold a multiple of these.
SIZES = {"default": (8, 16), "resnet18": (4, 4)}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """The inputs of the benchmark's parts.

    Attributes:
        folder: the folder for plan files.
        device: the device to train on.
    """

    folder: Path
    device: Device

    def slots(self, setting: str, strategy: str) -> Path:
        """Write the plans of a setting, and return their file."""
        path = self.folder / f"{setting}_{strategy}.json"
        at_hand = resolve(load_params(layout.PARAMS)).prepare.dataset
        preset = PRESETS[setting]
        changes = () if preset is None else (presets.read_preset(preset),)
        own, finetune = (plan_task_2(name, *changes) for name in (strategy, "finetune"))
        write_setting(path, Setting(own, finetune, at_hand))
        return path

    def step(self, setting: str, strategy: str) -> Measurements:
        """Measure the steps of a strategy."""
        blocks, steps = SIZES[setting]
        sizes = ("--blocks", str(blocks), "--steps", str(steps))
        return run_module(STEPS, self.slots(setting, strategy), *sizes, "--device", self.device)

    def alone(self, setting: str, strategy: str, steps: int) -> Measurements:
        """Measure training with nothing between its steps: images a second, memory."""
        slots = self.slots(setting, strategy)
        return run_module(STEPS, slots, "--steps", str(steps), "--device", self.device)


def _steps(bench: Bench) -> dict[str, Measurements]:
    return {
        f"{setting} {strategy}": bench.step(setting, strategy)
        for setting in PRESETS
        for strategy in ("finetune", "cassle")
    }


def _precision(bench: Bench) -> dict[str, Measurements]:
    """Steps of two networks in both precisions: on a CPU on one thread and on one a core."""
    cores = 1 if choose_device(bench.device) is not Device.cpu else os.cpu_count() or 1
    sizes = {"small_resnet": "16", "resnet18": "4"}
    return {
        f"{network} {threads}": run_module(
            PRECISION,
            *("--networks", network, "--steps", steps, "--json", "--device", bench.device),
            threads=threads,
        )
        for network, steps in sizes.items()
        for threads in sorted({1, cores})
    }


def _strategies(bench: Bench) -> dict[str, Measurements]:
    names = [name for name, entry in STRATEGIES.items() if not entry.whole_stream]
    for name in names:
        bench.slots("default", name)  # what is wrong with one is said before any is measured
    return {name: bench.step("default", name) for name in names}


def _memory(bench: Bench) -> dict[str, Measurements]:
    return {
        f"{setting} {strategy}": bench.alone(setting, strategy, steps)
        for setting, steps in (("default", 8), ("resnet18", 1))
        for strategy in ("finetune", "cassle")
    }


def _augmentation(bench: Bench) -> dict[str, Measurements]:
    slots, module = bench.slots("resnet18", "finetune"), "benchmarks.peers.augmentation"
    return {"images a second": run_module(module, slots, "--rounds", "7", python=_peers())}


def _evaluation(bench: Bench) -> dict[str, Measurements]:
    slots = bench.slots("default", "finetune")
    return {"seconds": run_module(PASSES, slots, "--rounds", "5", "--device", bench.device)}


def _startup(bench: Bench) -> dict[str, Measurements]:
    return {"seconds": startup.measure(rounds=3)}


def _whole(bench: Bench) -> dict[str, Measurements]:
    first, later = (bench.step("default", name) for name in ("finetune", "cassle"))
    return {
        "seconds": whole.measure("HEAD", first["efficiency"], later["efficiency"]),
        "plain pass": _evaluation(bench)["seconds"],
    }


def _against_lightly(bench: Bench) -> dict[str, Measurements]:
    """Ours as params.yaml has it; lightly with what is fastest: workers or none, the precision."""
    peer, found = _peers(), {}
    for setting, steps, rounds in (("default", "64", 3), ("resnet18", "2", 2)):
        slots = bench.slots(setting, "finetune")
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(run_module(STEPS, slots, "--steps", steps, "--device", Device.cpu))
            tried = [
                run_module(
                    PEER,
                    *(slots, "--steps", steps, "--workers", workers, "--precision", precision),
                    python=peer,
                )
                for workers in ("0", "2")
                for precision in PRECISIONS
            ]
            theirs.append(max(tried, key=lambda measured: measured["images_per_second"]))
        mine, other = medians(ours), medians(theirs)
        found[setting] = {
            "ours": mine["images_per_second"],
            "lightly": other["images_per_second"],
            "ours_peak_mib": mine["peak_mib"],
            "lightly_peak_mib": other["peak_mib"],
        }
    return found


PARTS: dict[str, Callable[[Bench], dict[str, Measurements]]] = {
    "steps": _steps,
    "precision": _precision,
    "strategies": _strategies,
    "memory": _memory,
    "augmentation": _augmentation,
    "evaluation": _evaluation,
    "startup": _startup,
    "whole": _whole,
    "peers": _against_lightly,
}
NEED_PEERS = ("augmentation", "peers")


def _peers() -> Path:
    if not PEERS.is_file():
        raise RunError(
            f"{PEERS} is missing: lightly and Kornia have an environment of their own; "
            "`make bench` sets it up"
        )
    return PEERS


def run(parts: Sequence[str], device: Device) -> None:
    """Measure, and write reports/benchmark.json and reports/benchmark.md.

    Args:
        parts: the parts to measure; empty: all. Measurements of the others are kept, with the
            machine of each.
        device: the device to train on.

    Raises:
        RunError: a part is unknown or fails; what was measured before it is written.
        PipelineError: the params cannot be used.
    """
    for name in parts:
        if name not in PARTS:
            raise RunError(f"bench: '{name}' is unknown; {closest(name, PARTS)}")
    wanted = [name for name in PARTS if name in parts or not parts]
    here = describe_machine(choose_device(device))
    if set(wanted) & set(NEED_PEERS):
        _peers()
    results, machines = _earlier()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), device)
        for name in wanted:
            logger.info("measuring %s", name)
            results[name], machines[name] = PARTS[name](bench), here
            both: Json = {"machines": cast(Json, machines), "parts": cast(Json, results)}
            write_json(JSON, both)
            write_text(TABLE, markdown(results, machines))
    print(markdown(results, machines))


def _earlier() -> tuple[Results, dict[str, str]]:
    """Return earlier measurements that the table has rows for, and the machine of each part."""
    found: Results = {}
    try:
        held = json.loads(JSON.read_text(encoding="utf-8"))
        machines: dict[str, str] = held["machines"]
        measured: Results = {name: held["parts"][name] for name in PARTS if name in held["parts"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}
    for name, part in measured.items():
        with suppress(LookupError, TypeError):  # of a commit that measured something else
            markdown({name: part}, machines)
            found[name] = part
    return found, {name: machines[name] for name in found}
