"""A project folder for people who have installed the program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline import layout
from pipeline.commands.new_project import name_installed_code
from pipeline.config.chain import read_slots, write_slots
from pipeline.config.read import load_params
from tests.support.command_line import CommandLine
from tests.support.image_files import tree
from tests.support.params import ROOT


@pytest.fixture
def line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(monkeypatch, capsys)


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.pipeline
def test_a_project_has_what_a_clone_has_but_for_the_code(line: CommandLine) -> None:
    said = line.must("new", "work/mine")
    assert "cd work/mine" in said and "a new repository" in said
    made = {path.relative_to("work/mine").as_posix() for path in Path("work/mine").rglob("*")}
    for name in ("params.yaml", ".gitignore", "data/.gitignore", "presets/own_images.yaml"):
        assert (Path("work/mine") / name).read_bytes() == (ROOT / name).read_bytes()
    assert {".dvc/plots/page.html", "data/raw/.gitkeep", ".git"} <= made
    assert "data/fashion_mnist/train-images-idx3-ubyte.gz" in made
    assert not {"pipeline", "tests", "dvc.lock", "reports", "data/emoji", "setup.py"} & made
    os.chdir("work/mine")
    assert line.must("check").endswith("repository: git and DVC\n")
    # What a run makes is no part of the repository.
    git("check-ignore", *map(str, (layout.CODE, layout.PLAN, layout.STATES, layout.EVALUATIONS)))


def test_the_chain_asks_which_code_is_installed(line: CommandLine) -> None:
    line.must("new", "mine")
    os.chdir("mine")
    stages = yaml.safe_load(layout.CHAIN.read_text())["stages"]
    whole = yaml.safe_load((ROOT / layout.CHAIN).read_text())["stages"]
    assert stages.pop("code") == {
        "desc": "which code is installed",
        "cmd": "python -m pipeline code",
        "always_changed": True,
        "outs": [str(layout.CODE)],
    }
    for name in ("plan", "confirm"):
        deps = whole[name]["deps"]
        deps[deps.index("pipeline")] = str(layout.CODE)
    assert stages == whole
    before = layout.CHAIN.read_text()
    write_slots(25)
    write_slots(5)
    assert layout.CHAIN.read_text() == before and read_slots() == 5
    line.must("code")
    first = layout.CODE.read_text()
    line.must("code")
    assert layout.CODE.read_text() == first


def test_a_chain_without_the_code_is_no_clones() -> None:
    chain = name_installed_code((ROOT / layout.CHAIN).read_text())
    with pytest.raises(AssertionError):
        name_installed_code(chain)


def test_ones_own_images_are_named_in_the_params(line: CommandLine) -> None:
    tree(Path("photos"), {"cat": 3, "dog": 3})
    said = line.must("new", "mine", "--images", "photos")
    assert "set scenario and num_tasks" in said
    params = load_params(Path("mine/params.yaml"))
    assert (params.dataset, params.data.root) == ("image_folder", str(Path("photos").absolute()))
    assert params.backbone.name == "small_resnet"
    assert "# All params of a run." in Path("mine/params.yaml").read_text()
    assert not Path("mine/data/fashion_mnist").exists()
    line.must("new", "large", "--images", "photos", "--preset", "own_images")
    assert load_params(Path("large/params.yaml")).backbone.name == "resnet18"
    # What comes with the program is found beside its code.
    os.chdir("mine")
    assert layout.find_shipped("data/emoji/emoji.csv") == ROOT / "data/emoji/emoji.csv"


def test_in_a_repository_it_is_a_folder_of_that(line: CommandLine) -> None:
    git("init", "--quiet")
    assert "a folder of the repository around it" in line.must("new", "mine")
    assert not Path("mine/.git").exists()
    os.chdir("mine")
    assert "repository: git and DVC" in line.must("check")
    os.chdir("..")
    Path(".gitignore").write_text("/ignored\n")
    code, _, err = line.cassle("new", "ignored/mine")
    assert code == 2 and "ignores it" in err and not Path("ignored").exists()


def test_it_does_without_git_where_asked_to(line: CommandLine) -> None:
    assert "git: none" in line.must("new", "mine", "--no-git")
    assert not Path("mine/.git").exists()
    os.chdir("mine")
    assert "repository: DVC without git" in line.must("check")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["full"], "full is not empty"),
        (["."], "is not empty"),
        (["full/notes.txt"], "cannot write full/notes.txt"),
        (["mine", "--images", "gone"], "--images gone is no folder that is there"),
        (["mine", "--preset", "own_images"], "name their folder with --images, or leave --preset"),
        (["mine", "--images", "full", "--preset", "own_image"], "did you mean 'own_images'"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(
    given: list[str], said: str, line: CommandLine
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    code, _, err = line.cassle("new", *given)
    assert code == 2 and said in err and err.count("\n") == 1
    assert [path.name for path in Path().rglob("*")] == ["full", "notes.txt"]


@pytest.mark.parametrize("name", [b"odd\xff", b"del\x7f", b"none\xef\xbf\xbf"])
def test_a_folder_of_images_that_params_cannot_hold_is_named(
    name: bytes, line: CommandLine
) -> None:
    images = Path(os.fsdecode(name))
    images.mkdir()
    code, _, err = line.cassle("new", "mine", "--images", str(images))
    assert code == 2 and len(err.splitlines()) == 1
    assert name[:3].decode() in err and "--images" in err and "preset" not in err
    assert not Path("mine").exists()


def test_the_folder_one_is_in_is_not_replaced(line: CommandLine) -> None:
    code, _, err = line.cassle("new", ".")
    assert code == 2 and "is the folder you are in" in err


def test_without_git_it_says_what_to_do(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, _, err = line.cassle("new", "mine")
    assert code == 2 and "--no-git" in err and not Path("mine").exists()
    line.must("new", "mine", "--no-git")


@pytest.mark.parametrize("place", ["mine", "deeper/mine"])
def test_a_project_among_its_own_images_is_refused(place: str, line: CommandLine) -> None:
    tree(Path("photos"), {"cat": 2, "dog": 2})
    Path("photos/deeper").mkdir()
    os.chdir("photos")
    code, _, err = line.cassle("new", place, "--images", ".", "--no-git")
    assert code == 2
    assert err.startswith(f"error: new: --images . holds {place}, whose own files would be among")
    assert not Path(place).exists()
