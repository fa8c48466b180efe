"""A repository whose chain takes a moment: its stages are words of a shell, not trainings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.params import SMALL, write_params

# `er` fails until the file `mended` is there, and seed 9 trains until it is stopped.
CHAIN = """
stages:
  train_first:
    cmd:
      - echo first $CASSLE_ROOT >> {trace}
      - "if grep '^seed: 9' params.yaml; then echo training; exec sleep 60.0625; fi"
      - grep '^seed' params.yaml > first.txt
    params: [seed]
    outs: [first.txt]
  train:
    foreach: {{'2': '1'}}
    do:
      cmd:
        - "if grep '^strategy: er' params.yaml && test ! -e {mended}; then echo 'error: no memory left'; exit 2; fi"
        - cat params.yaml > second.txt
      deps: [first.txt]
      params: [strategy]
      outs: [{{second.txt: {{cache: false}}}}]
"""


class SweepRepository(CommandLine):
    """The folder, and the command line in this process."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(monkeypatch, capsys)
        self.root = root / "project"
        self.trace, self.mended = root / "trace", root / "mended"
        self.root.mkdir()
        monkeypatch.chdir(self.root)
        write_params(self.root, {**SMALL, "num_tasks": 2, "data.root": "images"})
        (self.root / "images").mkdir()
        (self.root / "images/one").write_text("1")
        chain = CHAIN.format(trace=self.trace, mended=self.mended)
        (self.root / "dvc.yaml").write_text(chain)
        (self.root / ".dvc").mkdir()
        (self.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
        (self.root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        (self.root / ".gitignore").write_text(".scratch/\n/first.txt\n")
        (self.root / ".dvcignore").write_text(".scratch/\n")
        self.git("init", "--quiet", "--template=")
        self.commit()

    def git(self, *arguments: str) -> str:
        names = {
            f"GIT_{who}_{what}": "t@t"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        command = ["git", *arguments]
        return subprocess.run(
            command, env=os.environ | names, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "Change")

    def experiments(self) -> list[str]:
        """Return the names of the experiments of this commit."""
        base = self.git("rev-parse", "HEAD")
        listed = self.git("for-each-ref", "--format=%(refname)", f"refs/exps/{base[:2]}/{base[2:]}")
        return [name.rpartition("/")[2] for name in listed.split()]
