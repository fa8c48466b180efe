"""The benchmark: what it measures, and the table it writes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytorch_lightning as pl
import torch

from benchmarks import command as bench
from benchmarks import precision, processes, startup, steps, table
from benchmarks.__main__ import run
from benchmarks.workloads import BareStep, Workload, build
from pipeline import layout
from pipeline.artifacts.plans.train import TrainPlan
from pipeline.commands import step_times
from pipeline.commands.step_times import StepTime
from pipeline.config.read import load_params
from pipeline.config.registry.strategies import STRATEGIES
from pipeline.config.resolve import resolve
from pipeline.runtime import machine
from pipeline.runtime.device import Device
from pipeline.training.callbacks.checkpoint import Checkpointing
from tests.support.params import ROOT
from tests.support.project import Project
from tests.support.runs import Runs


@pytest.fixture
def project(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runs: Runs,
) -> Project:
    return Project(tmp_path / "project", monkeypatch, capsys, runs)


def build_task_2(strategy: str) -> Workload:
    plans = resolve(load_params(layout.PARAMS).model_copy(update={"strategy": strategy}))
    return build(plans.train[2], plans.prepare.dataset, "cpu")


@pytest.mark.parametrize("strategy", ["finetune", "cassle", "er", "cassle+er"])
def test_a_step_is_measured_beside_its_arithmetic(strategy: str, project: Project) -> None:
    own, finetune = (build_task_2(name) for name in (strategy, "finetune"))
    found = steps.measure(own, finetune, blocks=1, steps=2)
    assert found["bare_seconds"] > 0
    assert found["efficiency"] > 0
    assert (found["ideal_price"] > 1) == (strategy != "finetune")
    assert found["ideal_price"] >= 1
    assert not list((layout.main_checkout() / layout.CHECKPOINTS).glob("*/*.safetensors"))


@pytest.mark.parametrize("strategy", [n for n, s in STRATEGIES.items() if not s.whole_stream])
def test_every_strategy_takes_bare_steps(strategy: str, project: Project) -> None:
    load = build_task_2(strategy)
    bare = load.bare()
    before = [parameter.clone() for parameter in bare.method.backbone.parameters()]
    for _ in range(2):
        bare()
    moved = zip(before, bare.method.backbone.parameters(), strict=True)
    assert not any(torch.equal(one, other) for one, other in moved)


def test_bare_arithmetic_leaves_the_network_that_is_trained_alone(project: Project) -> None:
    load = build_task_2("cassle")
    before = [parameter.clone() for parameter in load.method.parameters()]
    load.bare()()
    assert all((a == b).all() for a, b in zip(before, load.method.parameters(), strict=True))


def test_no_checkpoint_falls_due_while_bare_steps_are_taken() -> None:
    checkpointing = Checkpointing.__new__(Checkpointing)
    checkpointing.due = 0.0
    trainer = SimpleNamespace(callbacks=[pl.Callback(), checkpointing])
    interleave = steps.Interleave({"slow": cast(BareStep, lambda: time.sleep(0.02))}, Device.cpu)
    began = time.perf_counter()
    for index in range(3):
        interleave.on_train_batch_start(
            cast(pl.Trainer, trainer), pl.LightningModule(), torch.empty(0), index
        )
    assert sum(interleave.taken["slow"]) <= checkpointing.due
    assert checkpointing.due + sum(interleave.full) <= time.perf_counter() - began


def test_the_rate_is_of_training_alone(project: Project) -> None:
    found = steps.rate(build_task_2("finetune"), steps=2)  # type: ignore[arg-type]
    assert found["images_per_second"] > 0
    assert found["peak_mib"] > 100  # torch alone is more


@pytest.mark.parametrize(("device", "peak"), [(Device.cpu, 3.0), (Device.cuda, 5.0)])
def test_the_peak_is_that_of_the_memory_where_training_runs(
    device: Device, peak: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = SimpleNamespace(ru_maxrss=3 * 1024)
    monkeypatch.setattr(machine.resource, "getrusage", lambda _: used)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 * 2**20)
    assert machine.read_peak_memory(device) == peak


@pytest.mark.parametrize("name", ["plan", "report", "train"])
def test_start_up_is_that_of_the_modules_that_stages_import(name: str) -> None:
    compile(startup.IMPORTS[name], name, "exec")
    assert f"pipeline.stages.{name}" in startup.IMPORTS[name]


def figures() -> table.Results:
    step = {"efficiency": 0.5, "full_over_bare_finetune": 1.0, "ideal_price": 1.0}
    dear = {"efficiency": 0.96, "full_over_bare_finetune": 1.5, "ideal_price": 1.4}
    precise = {
        "32-true": 2.0,
        "bf16-mixed": 1.6,
        "gflop": 150.0,
        "peak": 100.0,
        "native_bf16": 1.0,
        "batch_size": 8,
    }
    whole = {
        "seconds": 100.0,
        "training_seconds": 60.0,
        "evaluation_seconds": 20.0,
        "arithmetic_seconds": 70.0,
        "rest_share": 0.3,
        "nothing_to_do_seconds": 3.0,
    }
    return {
        "steps": {"default finetune": step, "default cassle": dear},
        "precision": {
            "small_resnet 1": precise,
            "small_resnet 2": precise,
            "resnet18 1": precise | {"native_bf16": 0.0},
        },
        "strategies": {"finetune": step, "er": dear},
        "memory": {"default cassle": {"images_per_second": 9.0, "peak_mib": 900.4}},
        "augmentation": {
            "images a second": {
                "ours": 60.0,
                "bicubic": 54.0,
                "dali": 66.0,
                "kornia": 10.0,
                "torchvision": 1.0,
                "squares": 4.0,
                "whole": 3.0,
            }
        },
        "evaluation": {"seconds": {"plain": 1.0, "extract": 1.5}},
        "startup": {"seconds": {"all three libraries": 8.0, "train": 5.9, "cassle check": 1.5}},
        "whole": {"seconds": whole, "plain pass": {"plain": 2.0, "extract": 3.0}},
        "peers": {
            "default": {"ours": 9.0, "lightly": 3.5, "ours_peak_mib": 1.0, "lightly_peak_mib": 2.0}
        },
    }


def test_figures_stand_beside_what_they_should_be() -> None:
    met = {row.what: row.met for row in table.rows(figures())}
    assert met["step efficiency, default, finetune (share of bare arithmetic)"] is False
    assert met["step efficiency, default, cassle (share of bare arithmetic)"] is True
    assert met["price of cassle, default (step over fine-tuning's)"] is False  # 1.5: above 1.33
    assert met["price of er, default (step over fine-tuning's)"] is None
    faster = "step of cassle in bf16-mixed, times as fast, {} at 28×28, {}"
    assert met[faster.format("small_resnet", "1 thread")] is False  # 2.0 / 1.6 is below 1.3
    assert met[faster.format("small_resnet", "2 threads")] is None
    assert met[faster.format("resnet18", "1 thread")] is None  # no bfloat16 in the CPU
    share = "step of cassle in float32, share of the rate of matrix products, {}"
    assert met[share.format("small_resnet at 28×28, 1 thread")] is True  # 150 / 2.0 / 100
    assert met["… over Kornia's"] is True
    assert met["start of train"] is None
    assert met["cassle check"] is False
    assert met["… all but arithmetic, share"] is False
    assert met["… over lightly's"] is False
    shown = {row.what: row.value for row in table.rows(figures())}
    assert shown["peak memory, default, cassle"] == "900 MiB"
    price = shown["price of cassle, default (step over fine-tuning's)"]
    assert price == "1.50 (operations alone 1.40)"
    text = table.markdown(figures(), dict.fromkeys(figures(), "a machine"))
    assert "**no**" in text
    assert "`make bench`, on a machine.\n" in text


def test_figures_of_another_machine_say_so() -> None:
    machines = dict.fromkeys(figures(), "a machine") | {"whole": "another"}
    text = table.markdown(figures(), machines)
    assert "\n- on another: whole\n" in text
    assert (
        "on a machine: steps, precision, strategies, memory, augmentation, evaluation, startup, peers"
        in text
    )


def must_measure(project: Project, part: str) -> str:
    code, out, err = project.run(run, part)
    assert code == 0, err
    return out


def test_a_part_is_written_beside_those_that_were_measured_before(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bench.PARTS, "evaluation", lambda _: figures()["evaluation"])
    monkeypatch.setitem(bench.PARTS, "startup", lambda _: figures()["startup"])
    must_measure(project, "evaluation")
    alike = must_measure(project, "startup")
    assert (project.root / bench.TABLE).read_text().strip() == alike.strip()
    held = json.loads((project.root / bench.JSON).read_text())
    assert list(held["parts"]) == list(held["machines"]) == ["evaluation", "startup"]
    (project.root / bench.JSON).write_text(
        json.dumps(held | {"machines": {"evaluation": "an old one", "startup": "an old one"}})
    )
    out = must_measure(project, "startup")
    assert "- on an old one: evaluation\n" in out
    assert (project.root / bench.TABLE).read_text().strip() == out.strip()
    held["parts"]["evaluation"]["seconds"].pop("extract")  # as another commit might have it
    (project.root / bench.JSON).write_text(json.dumps(held))
    assert "features of all images" not in must_measure(project, "startup")


def test_there_is_a_second_task_to_measure_whatever_the_params_say(project: Project) -> None:
    project.set({"num_tasks": 1})
    slots = bench.Bench(project.root, Device.cpu).slots("default", "er")
    held = json.loads(slots.read_text())
    assert held["own"]["strategies"][0]["name"] == "er"
    assert held["finetune"]["task"] == 2


def test_a_strategy_without_its_options_is_one_clear_error(project: Project) -> None:
    project.remove("strategies.ewc")
    code, _, err = project.run(run, "strategies")
    assert code == 2
    assert "ewc" in err
    assert "Traceback" not in err


def test_bare_arithmetic_has_the_precision_of_the_training(project: Project) -> None:
    project.set({"train.precision": "bf16-mixed"})
    load = build_task_2("cassle")
    seen = []
    bare = load.bare()
    convolution = next(m for m in bare.method.modules() if isinstance(m, torch.nn.Conv2d))
    convolution.register_forward_hook(lambda module, inputs, out: seen.append(out.dtype))
    bare()
    assert seen == [torch.bfloat16]
    assert load.precision == "bf16-mixed"


def test_unknown_parts_and_missing_peers_are_one_clear_error(project: Project) -> None:
    code, _, err = project.run(run, "step")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'steps'" in err
    code, _, err = project.run(run, "peers")
    assert (code, err.count("\n")) == (2, 1)
    assert "make bench" in err


def test_precisions_are_measured_in_turn(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def timed(plan: TrainPlan, count: int, steps: int, warm_up: int, device: Device) -> StepTime:
        assert plan.strategies[0].name == "cassle"
        asked.append(plan.train.precision)
        return StepTime(len(asked) / 1000, 1.0, "32-true")

    project.set({"num_tasks": 1, "strategy": "offline"})
    monkeypatch.setattr(step_times, "time_steps", timed)
    command = ["precision", "--networks", "small_resnet", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", command)
    precision.main()
    assert asked == ["32-true", "bf16-mixed"] * 2
    assert capsys.readouterr().out.splitlines()[-1] == "| small_resnet | 16 | 1 | 2 | 0.50 |"
    monkeypatch.setattr("sys.argv", [*command, "--json"])
    precision.main()
    found = json.loads(capsys.readouterr().out)
    assert found["peak"] > 0
    assert found["gflop"] > 0
    assert len(table.rows({"precision": {"small_resnet 1": found}})) == 2


def test_what_peers_import_is_there_without_the_packages_of_the_config() -> None:
    missing = "import sys; sys.modules |= dict.fromkeys(('pydantic', 'ruamel', 'yaml', 'typer'))"
    code = f"{missing}; import benchmarks.setting, benchmarks.workloads"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_part_has_the_threads_that_it_asks_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def ran(command: list[str], env: dict[str, str], **_: object) -> SimpleNamespace:
        given.append(env["OMP_NUM_THREADS"])
        return SimpleNamespace(returncode=0, stdout="{}", stderr="")

    monkeypatch.setattr(processes.subprocess, "run", ran)
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 6)
    assert list(bench.PARTS["precision"](bench.Bench(project.root, Device.cpu))) == [
        "small_resnet 1",
        "small_resnet 6",
        "resnet18 1",
        "resnet18 6",
    ]
    assert given == ["1", "6"] * 2
