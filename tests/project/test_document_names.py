"""What the documents name is there: links and headings, files, params, commands."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML

from pipeline import layout
from pipeline.cli.main import app

pytestmark = pytest.mark.pipeline

ROOT = next(folder for folder in Path(__file__).parents if (folder / "params.yaml").exists())
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
)
FENCED = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^ {4,}.*$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
A_FILE = re.compile(
    r"\.?[\w<>*.-]+(/[\w<>*.-]+)*(/|\.(py|md|yaml|json|csv|png|html|lock|tex|css|cff|onnx|safetensors))"
)
A_PARAM = re.compile(r"([a-z_]+(?:\.[a-z_0-9]+)+)(?:: .+)?")
# What people have, or an export or a run makes, and the project does not.
THEIRS = {
    *("train/cat/1.jpg", "test/cat/2.jpg", "cat/1.jpg", "sketch/cat/1.jpg"),
    *(
        "train/",
        "test/",
        "val/",
        "valid/",
        "Train/",
        "val/val_annotations.txt",
        "test.npz",
        "train.npz",
    ),
    *("preprocessing.json", "backbone.onnx", "model.safetensors", "config.json"),
    *("reports/against.html", "dvc_plots/index.html"),
    ".scratch/",
}


def code_of(text: str) -> str:
    """The code blocks of a document."""
    fenced = [found[0] for found in FENCED.finditer(text)]
    return "\n".join([*fenced, *INDENTED.findall(FENCED.sub("", text))])


def prose_of(text: str) -> str:
    """A document without its code blocks."""
    return INDENTED.sub("", FENCED.sub("", text))


def slugs(document: Path) -> set[str]:
    """The anchors of a document's headings."""
    titles = re.findall(r"^#+ (.+)$", prose_of(document.read_text(encoding="utf-8")), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in kept}


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(INLINE.sub("", prose_of(document.read_text("utf-8")))):
        if "://" in target:
            continue
        place = document.parent / target if target else document
        assert place.exists(), target
        assert not anchor or anchor in slugs(place), f"{target}#{anchor}"


@functools.cache
def names() -> frozenset[str]:
    """Every file of the repository and of its stages, by its path and by the ends of it."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    outputs = re.findall(r"^ +- ([\w./]+):?$", (ROOT / "dvc.yaml").read_text(), re.MULTILINE)
    paths = [*found.stdout.splitlines(), *outputs, "data/states/task_1", "data/logs/task_1.json"]
    paths += ["data/plan/train_1.json", "data/plan/machine.json", layout.CODE.as_posix()]
    paths += [".scratch/logs/csv/a_run/task_N/metrics.csv"]
    ends = set()
    for path in map(Path, paths):
        for start in range(len(path.parts)):
            end = path.parts[start:]
            ends |= {"/".join(end[:stop]) for stop in range(1, len(end) + 1)}
    return frozenset(ends)


def is_there(name: str) -> bool:
    if name in THEIRS or name.rstrip("/") in names():
        return True
    pattern = re.compile(re.sub(r"\\\*|<\w+>", r"[^/]*", re.escape(name.rstrip("/"))))
    return any(pattern.fullmatch(known) for known in names())


@every_document
def test_files_are_there(document: Path) -> None:
    for name in INLINE.findall(prose_of(document.read_text("utf-8"))):
        if A_FILE.fullmatch(name):
            assert is_there(name), name


def test_missing_files_are_noticed() -> None:
    assert is_there("methods/simsiam.py")
    assert is_there("reports/run.json")
    assert is_there("data/plan/*.json")
    assert not is_there("methods/simclear.py")
    assert not is_there("pipeline/lerner.py")


def test_the_layout_names_what_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Layout")[2].partition("## ")[0]
    entries = [re.split(r"\s{2,}", line.strip())[0] for line in INDENTED.findall(block)]
    found = [name for entry in entries for name in entry.split()]
    assert len(found) > 15
    for name in found:
        assert (ROOT / name).exists() or (ROOT / "pipeline" / name).exists(), name


@functools.cache
def params() -> dict[str, object]:
    read: dict[str, object] = YAML(typ="safe").load(ROOT / "params.yaml")
    return read


def has_param(key: str) -> bool:
    place: object = params()
    for part in key.split("."):
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return True


@every_document
def test_params_are_there(document: Path) -> None:
    for name in INLINE.findall(prose_of(document.read_text("utf-8"))):
        found = A_PARAM.fullmatch(name)
        if found and found[1].partition(".")[0] in params() and not A_FILE.fullmatch(name):
            assert has_param(found[1]), name


def commands(document: Path) -> Iterator[list[str]]:
    """The command lines of a document's code blocks, and those in its sentences."""
    text = document.read_text("utf-8")
    lines = code_of(text).replace("\\\n", " ").splitlines()
    for line in [*lines, *INLINE.findall(prose_of(text))]:
        if not re.match(r"\s*([A-Z_]+=\S+ )*(cassle|dvc|make|python|torchrun|srun) [\w-]", line):
            continue
        for part in re.split(r"&&|\|\|", line.partition(" #")[0]):
            words = shlex.split(part)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words and words[0] in ("torchrun", "srun"):
                words = ["python", *words[words.index("-m") :]]
            if words != ["exit"]:
                yield words


def check_cassle(words: list[str]) -> None:
    """Check the name of a command, and those of its options."""
    command: Any = typer.main.get_command(app)  # Typer has a click of its own
    for word in words:
        if hasattr(command, "commands") and not word.startswith("-") and not word.isupper():
            # `cassle sweep FILE` is short for `cassle sweep start FILE`.
            if command.name == "sweep" and word.endswith(".yaml"):
                command = command.commands["start"]
                continue
            assert word in command.commands, f"cassle has no {word}"
            command = command.commands[word]
        elif word.startswith("--") and word != "--help":
            known = {
                name for param in command.params for name in (*param.opts, *param.secondary_opts)
            }
            assert word in known, f"cassle {command.name} has no {word}"


def check(words: list[str]) -> None:
    match words:
        case ["cassle", *rest] | ["python", "-m", "pipeline", *rest]:
            check_cassle(rest)
        case ["python", "-m", module, *_]:
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        case ["dvc", *rest]:
            get_main_parser().parse_args(rest)
        case ["cp" | "mkdir", *_]:
            pass
        case _:
            raise AssertionError(f"not understood: {words}")


@every_document
def test_commands_are_understood(document: Path) -> None:
    for words in commands(document):
        check(words)


def test_commands_are_found() -> None:
    found = {words[0] for document in DOCUMENTS for words in commands(document)}
    assert found - {"cp", "mkdir"} == {"cassle", "dvc", "make", "python"}
    assert sum(1 for document in DOCUMENTS for _ in commands(document)) > 80


@pytest.mark.parametrize(
    "line", ["cassle trian 1", "cassle report --agianst x", "make dmeo", "python -m pipelines"]
)
def test_wrong_commands_are_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check(line.split())
