"""What changes while DVC runs a stage, and what a damaged cache needs: the remedies, with DVC."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.config.chain import read_locked_outputs
from tests.support.dvc_repository import ENVIRONMENT, make_repository, run

CASSLE = ("python", "-m", "pipeline")
COLD = dict(ENVIRONMENT)


@pytest.fixture
def root(tmp_path: Path, warm_python: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{warm_python}{os.pathsep}{COLD['PATH']}")
    folder = tmp_path / "repository"
    make_repository(folder, {"num_tasks": 1, "train.epochs": 2})
    return folder


def fail(root: Path, *command: str) -> str:
    """Run a command that has to fail; return its output."""
    done = subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def once_after(root: Path, stage: str, act: str) -> None:
    """Have a shell command run once, when a stage has ended and before DVC looks."""
    path = root / layout.CHAIN
    command = f"python -m pipeline {stage}"
    text = path.read_text()
    assert command in text
    (root / "once.sh").write_text(f"test -e .done || {{ touch .done; {act}; }}\n")
    path.write_text(text.replace(command, f"{command} && sh once.sh", 1))


def test_params_that_are_edited_in_the_moment_after_plan_are_noticed_and_planned(
    root: Path,
) -> None:
    once_after(root, "plan --slots 5", "sed -i 's/^seed: 0/seed: 7/' params.yaml")
    said = fail(root, "dvc", "repro", "confirm")
    assert (
        "changed while plan wrote data/plan/init.json; run `cassle plan`, then `dvc repro`" in said
    )
    assert "changed while plan wrote" in fail(root, "dvc", "repro", "confirm")
    run(root, *CASSLE, "plan")
    run(root, "dvc", "repro", "confirm", "init")
    assert '"seed": 7' in (root / layout.plan("init")).read_text()
    assert "up to date" in run(root, "dvc", "repro", "confirm", "init")


def test_images_that_are_replaced_in_the_moment_after_prepare_are_noticed_and_cut(
    root: Path,
) -> None:
    image = "data/fashion_mnist/train-images-idx3-ubyte.gz"
    once_after(root, "prepare --planned", f"cp {image} other; python invert.py {image}")
    (root / "invert.py").write_text(
        "import gzip, sys\n"
        "content = gzip.open(sys.argv[1]).read()\n"
        "other = content[:16] + bytes(255 - byte for byte in content[16:])\n"
        "open(sys.argv[1], 'wb').write(gzip.compress(other, mtime=0))\n"
    )
    said = fail(root, "dvc", "repro", "train_first")
    assert "changed since the split; run `cassle prepare`, then `dvc repro`" in said
    assert "changed since the split" in fail(root, "dvc", "repro", "train_first")
    run(root, *CASSLE, "prepare")
    run(root, "dvc", "repro", "train_first")


def test_code_that_is_edited_in_training_stops_the_chain_and_put_back_it_goes_on(
    root: Path,
) -> None:
    run(root, "dvc", "repro", "train_first")
    whole = (root / layout.state(1)).read_bytes()
    loss, text = root / "pipeline/methods/simclr.py", ""
    text = loss.read_text()
    # Begun as any other, it is not over before the code has changed.
    process = subprocess.Popen(
        ["dvc", "repro", "-f", "-s", "train_first"], cwd=root, env=COLD,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    holder = root / layout.LOCKS / "train_1.holder"
    before = holder.stat().st_mtime_ns
    while process.poll() is None and holder.stat().st_mtime_ns == before:
        time.sleep(0.01)
    loss.write_text(text + "\nEXTRA = 1\n")
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "the code that train 1 uses changed while it ran" in said
    assert not (root / layout.state(1)).exists()
    loss.write_text(text)
    run(root, "dvc", "repro", "train_first")
    assert (root / layout.state(1)).read_bytes() == whole


def test_a_damaged_object_of_the_cache_is_found_and_made_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, "dvc", "repro", "train_first")
    state = root / layout.state(1)
    whole = state.read_bytes()
    monkeypatch.chdir(root)
    name = read_locked_outputs()[layout.state(1)]
    stored = root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    content = bytearray(whole)
    content[len(content) // 2] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)
    stored.chmod(0o444)
    # It comes into the workspace with a checkout, and again after each new run.
    state.unlink()
    run(root, "dvc", "repro", "train_first")
    assert state.read_bytes() == content
    said = fail(root, *CASSLE, "export", "1", "--output", "exported")
    assert "is damaged" in said
    assert "`dvc repro`; after damage, `cassle clean` before that" in said
    said = run(root, *CASSLE, "clean", "--yes")
    assert f"damaged, in DVC's cache: {layout.state(1)}" in said
    assert not stored.exists()
    assert not state.exists()
    run(root, "dvc", "repro", "train_first")
    assert state.read_bytes() == whole == stored.read_bytes()
    assert "damaged" not in run(root, *CASSLE, "clean", "--yes")
