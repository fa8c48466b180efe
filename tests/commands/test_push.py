"""An export goes to the hub whole, and what the hub refuses is said in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.commands import push
from tests.support.project import Project


class Hub(SimpleNamespace):
    """A stand-in for huggingface_hub that notes what it is asked."""

    def __init__(self, token: str | None = "secret", fails: str = "") -> None:
        self.token = token
        self.fails = fails
        self.calls: list[tuple[str, object]] = []
        self.taken: dict[str, bytes] = {}

    def get_token(self) -> str | None:
        return self.token

    def HfApi(self) -> Hub:  # noqa: N802 - its name there
        return self

    def whoami(self) -> dict[str, str]:
        self.note("whoami", None)
        return {"name": "me"}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Address:
        self.note("create_repo", (repo_id, private, exist_ok))
        return Address(f"https://hub/me/{repo_id}")

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        allow_patterns: list[str],
        delete_patterns: list[str],
        commit_message: str,
    ) -> None:
        self.note("upload_folder", (repo_id, delete_patterns, commit_message))
        self.taken = {name: (folder_path / name).read_bytes() for name in allow_patterns}

    def note(self, name: str, given: object) -> None:
        self.calls.append((name, given))
        if name == self.fails:
            raise ConnectionError("no route\nto the hub")


class Address(str):
    @property
    def repo_id(self) -> str:
        return self.removeprefix("https://hub/")


def stand_in(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> Hub:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)  # type: ignore[arg-type]
    monkeypatch.setattr(push, "find_spec", lambda name: name)
    return hub


def test_an_export_is_uploaded_with_all_its_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    hub = stand_in(monkeypatch, Hub())
    project.must("export", "0", "--output", "out", "--no-onnx", "--push", "encoder")
    assert hub.calls == [
        ("whoami", None),
        ("create_repo", ("encoder", True, True)),
        ("upload_folder", ("me/encoder", ["backbone.onnx", "config.json"], "State after task 0")),
    ]
    assert hub.taken == {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert hub.taken["README.md"].startswith(b"---\nlibrary_name: pytorch\n")


@pytest.mark.parametrize(
    ("hub", "name", "message"),
    [
        (Hub(), "no name/of/one", "is no name of a repository"),
        (Hub(), "../x", "is no name of a repository"),
        (Hub(token=None), "me/encoder", "needs a token of the Hugging Face hub"),
        (Hub(fails="whoami"), "me/encoder", "whether the token is good: no route to the hub"),
    ],
)
def test_what_the_hub_will_not_take_is_refused_before_the_export(
    project: Project, monkeypatch: pytest.MonkeyPatch, hub: Hub, name: str, message: str
) -> None:
    project.trained(0)
    stand_in(monkeypatch, hub)
    said = project.refuses("export", "0", "--output", "out", "--no-onnx", "--push", name)
    assert message in said


def test_without_the_package_the_extra_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    monkeypatch.setattr(push, "find_spec", lambda name: None)
    said = project.refuses("export", "0", "--output", "out", "--no-onnx", "--push", "me/encoder")
    assert "pip install 'cassle-pipeline[hub]'" in said


def test_an_upload_that_fails_leaves_the_export(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.trained(0)
    stand_in(monkeypatch, Hub(fails="upload_folder"))
    code, _, err = project.cassle(
        "export", "0", "--output", "out", "--no-onnx", "--push", "me/encoder"
    )
    assert code == 2
    assert "no route to the hub; the export itself is whole, in out" in err
    assert Path("out/README.md").is_file()
