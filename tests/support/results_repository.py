"""A git repository with runs made by hand: reports/ alone, no training and no DVC."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.files.sealed_json import Json
from tests.support.command_line import CommandLine
from tests.support.params import SHIPPED, change

PARAMS = yaml.safe_load(SHIPPED)
IDENTITY = {"data": {"train": "1" * 64, "test": "2" * 64}, "splits": "3" * 64}
COST = {
    "training_seconds": 100.0,
    "forward_passes": 1.5,
    "strategy_bytes": 2_000_000,
    "carried_bytes": 0,
}


class Repository(CommandLine):
    """The folder, its git repository, and the command line in this process."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(monkeypatch, capsys)
        self.root = root
        monkeypatch.chdir(root)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("commit", "--quiet", "--allow-empty", "-m", "Begin")

    def git(self, *arguments: str) -> str:
        environment = os.environ | {
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@t",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@t",
        }
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    def write(
        self,
        accuracy: float | None,
        *,
        figures: Json | None = None,
        identity: Json | None = None,
        cost: Json | None = None,
        **params: object,
    ) -> None:
        """Write reports/ of a run of two tasks.

        ``figures`` and ``identity`` go over the usual ones; a param inside a section is written
        as ``train__epochs``.
        """
        given = copy.deepcopy(PARAMS)
        change(given, {key.replace("__", "."): value for key, value in params.items()})
        held = {"average_accuracy": accuracy, "forgetting": 2.0, "forward_transfer": 5.0}
        run = {"format": 1, "params": given, **IDENTITY} | (identity or {})
        reports = self.root / "reports"
        reports.mkdir(exist_ok=True)
        (reports / "run.json").write_text(json.dumps(run))
        (reports / "metrics.json").write_text(json.dumps(held | (figures or {})))
        (reports / "cost.json").write_text(json.dumps(COST if cost is None else cost))
        rows = [f"{after},{task},50.0" for after in range(3) for task in (1, 2)]
        (reports / "accuracy_matrix.csv").write_text("\n".join(["after_task,task,accuracy", *rows]))

    def keep(self, name: str, baseline: str = "HEAD") -> str:
        """Make the files as they are an experiment, and take reports/ away; return its commit."""
        base = self.git("rev-parse", baseline)
        self.git("add", "--all", "--force")
        commit = self.git("commit-tree", self.git("write-tree"), "-p", base, "-m", name)
        self.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
        self.git("read-tree", "HEAD")
        for path in (self.root / "reports").glob("*"):
            path.unlink()
        return commit

    def experiment(self, name: str, accuracy: float | None, **changes: object) -> str:
        """Write a run and make it an experiment of the current commit; return its commit."""
        self.write(accuracy, **changes)  # type: ignore[arg-type]
        return self.keep(name)

    def compare(self, *arguments: str) -> str:
        """Return what a comparison prints, which has to succeed."""
        return self.must("compare", *arguments)

    def refuses(self, *arguments: str) -> str:
        """Return the message of a comparison that has to fail cleanly."""
        code, out, err = self.cassle("compare", *arguments)
        assert code == 2, out
        assert "Traceback" not in err
        assert out == ""
        return err
