"""``cassle preset cost --measure``: some steps are taken here, and the whole is told from them."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifacts.plans.train import TrainPlan
from pipeline.commands import measure, step_times
from pipeline.commands.measure import Measuring, measure_apart
from pipeline.commands.step_times import RepeatedImages, make_images, time_steps
from pipeline.config import presets
from pipeline.config.read import parse_params
from pipeline.config.resolve import Plans, resolve
from pipeline.data.augmentation.whole_crops import read_shapes
from pipeline.data.canvas import canvas_shape
from pipeline.errors import RunError
from pipeline.layout import PARAMS
from pipeline.runtime.device import Device
from pipeline.training.learner import Learner
from tests.support.params import ROOT, with_changes
from tests.support.project import Project

# Each of these trains, or starts processes that do.
pytestmark = pytest.mark.pipeline

# A recipe's data set, objective and strategy, on a network of a few numbers.
TINY = {
    "train.epochs": 12,
    "train.batch_size": 16,
    "train.devices": 1,
    "backbone.name": "small_resnet",
    "backbone.small_resnet.widths": [4, 8],
    "methods.simclr.projector": [16, 8],
    "strategies.cassle.predictor_hidden": 16,
}


def tiny(name: str = "cifar100_simclr", **changes: object) -> Plans:
    merged, _ = presets.merge(
        (ROOT / PARAMS).read_text(), (ROOT / f"presets/{name}.yaml").read_text()
    )
    return resolve(parse_params(with_changes(merged, {**TINY, **changes}), name))


def test_the_steps_are_training_s_own_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int]] = []
    training_step = Learner.training_step

    def noted(self: Learner, images: torch.Tensor, index: int) -> torch.Tensor:
        seen.append((len(images), self.position.step, self.steps.total))
        return training_step(self, images, index)

    monkeypatch.setattr(Learner, "training_step", noted)
    before = sorted(Path().iterdir())
    plan = tiny(**{"train.precision": "32-true"}).train[2]
    found = time_steps(plan, 10_000, steps=3, warm_up=2, device=Device.cpu)
    total = 10_000 // 16 * 12
    # Two and three, and the one whose beginning ends the last that counts.
    assert seen == [(16, total - 7 + step, total) for step in range(6)]
    assert found.seconds > 0
    assert found.precision == "32-true"
    assert found.peak_mib > 100  # torch alone is more
    assert sorted(Path().iterdir()) == before


def test_parts_of_a_batch_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    training_step = Learner.training_step

    def noted(self: Learner, images: torch.Tensor, index: int) -> torch.Tensor:
        sizes.append(len(images))
        return training_step(self, images, index)

    monkeypatch.setattr(Learner, "training_step", noted)
    plan = tiny(**{"train.accumulate_grad_batches": 2}).train[1]
    time_steps(plan, 10_000, steps=2, warm_up=0, device=Device.cpu)
    assert sizes == [8] * 6


def test_steps_that_count_are_timed_without_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 16.0])
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: next(clock))
    found = time_steps(tiny().train[1], 10_000, steps=3, warm_up=1, device=Device.cpu)
    assert found.seconds == 2.0


def test_stand_ins_have_the_format_of_the_images_as_they_are_read() -> None:
    assert make_images(tiny().train[1].dataset, 3).shape == (3, 3, 32, 32)
    # Files are kept larger than views, which are cropped from them, and whole: on canvases.
    whole = make_images(tiny("imagenet100_simclr").train[1].dataset, 2)
    assert whole.shape == (2, 3, *canvas_shape(256))
    assert read_shapes(torch.from_numpy(whole)).length.tolist() == [256, 256]
    images = RepeatedImages(np.arange(6, dtype=np.uint8).reshape(3, 2), count=10)
    assert len(images) == 10
    assert images.reader()[np.array([0, 4, 9])].tolist() == [[0, 1], [2, 3], [0, 1]]


def test_a_task_with_too_few_steps_is_one_clear_error() -> None:
    with pytest.raises(RunError, match=r"--steps: task 1 has 12 steps, too few for 10 after 2"):
        time_steps(tiny().train[1], 16, steps=10, warm_up=2, device=Device.cpu)


def test_too_little_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 GB")

    monkeypatch.setattr(step_times, "fit", fails)
    with pytest.raises(RunError) as caught:
        time_steps(tiny().train[1], 10_000, steps=1, warm_up=0, device=Device.cpu)
    assert "task 1: out of memory (DefaultCPUAllocator" in str(caught.value)
    assert "too small for 16 images at once: set train.accumulate_grad_batches to 2" in str(
        caught.value
    )


def be_killed(pipe: object, plan: TrainPlan, count: int, wanted: Measuring) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_early(pipe: object, plan: TrainPlan, count: int, wanted: Measuring) -> None:
    os._exit(7)


@pytest.mark.parametrize(
    ("child", "said"),
    [
        (be_killed, "task 1 was killed, as a system does where memory runs out; this machine is"),
        (end_early, "task 1 ended with code 7, see above"),
    ],
)
def test_a_process_that_the_system_kills_is_explained(
    child: Callable[..., None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_send_time", child)
    with pytest.raises(RunError, match=f"^tiny: .*{said}"):
        measure_apart("tiny", tiny().train[1], 10_000, Measuring(1, 0, Device.cpu))
    assert not multiprocessing.active_children()


def write_preset(project: Project, **changes: object) -> None:
    (project.root / "presets").mkdir(exist_ok=True)
    text = (ROOT / "presets/cifar100_simclr.yaml").read_text()
    fitting = {key: value for key, value in TINY.items() if "small_resnet" not in key}
    text = with_changes(text, {**fitting, **changes})
    text = text.replace("name: resnet18", "name: small_resnet")
    (project.root / "presets/tiny.yaml").write_text(f"# Tiny\n{text}")


def test_the_command_prints_what_the_whole_would_take(project: Project) -> None:
    write_preset(project, num_tasks=3)
    before = project.files()
    command = ("preset", "cost", "tiny", "--measure", "--device", "cpu")
    out = project.must(*command, "--steps", "2", "--warm-up", "1").splitlines()
    assert project.files() == before
    assert "the mean of 2 steps after 1 on one device, on random images" in out[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out[4:7]]
    assert [row[:2] for row in rows] == [
        ["tiny, 32-true", "1"],
        ["tiny, 32-true", "2 to 3"],
        ["tiny", "all"],
    ]
    # 34, 33 and 33 classes of 500 images, in batches of 16, 12 epochs.
    assert [row[6] for row in rows] == ["12744", "24744", "37488"]
    for row in rows[:2]:
        seconds, hours = float(row[3]), float(row[7])
        assert hours == pytest.approx(seconds * int(row[6]) / 3600, abs=0.06)
        assert float(row[4]) == pytest.approx(16 / seconds, rel=0.1)
        assert float(row[5]) > 0.1
    total = float(rows[2][7].strip("*"))
    assert total == pytest.approx(float(rows[0][7]) + float(rows[1][7]), abs=0.11)
    assert "Decoding image files" in out[-1]


def test_options_that_do_not_fit_together_are_one_clear_error(project: Project) -> None:
    write_preset(project)
    refused = {
        ("tiny", "--steps", "4"): "--steps is for measuring; add --measure",
        ("tiny", "--warm-up", "0"): "--warm-up is for measuring",
        ("tiny", "--device", "cpu"): "--device is for measuring",
        ("tiny", "--measure", "--rate", "10"): "--rate is for counting",
        ("--measure",): "name those to measure",
        ("tiy", "--measure"): "did you mean 'tiny'",
    }
    for command, said in refused.items():
        assert re.search(said, project.refuses("preset", "cost", *command))
    assert "too few for 90000 after 2" in project.refuses(
        "preset", "cost", "tiny", "--measure", "--device", "cpu", "--steps", "90000"
    )
