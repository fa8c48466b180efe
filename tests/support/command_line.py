"""The command line, run inside the tests' own process."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pipeline.cli import main as cli


class CommandLine:
    """``cassle`` in the working folder; what it prints is captured."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str] | None
    ) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def cassle(self, *arguments: str) -> tuple[int, str, str]:
        """Return the exit code, the standard output and the standard error of ``cassle``."""
        return self.run(cli.main, *arguments)

    def run(self, command: Callable[[], None], *arguments: str) -> tuple[int, str, str]:
        """Return the exit code, the standard output and the standard error of a command line.

        Where there is no ``capsys``, as in fixtures of a session, both texts are empty.
        """
        self.monkeypatch.setattr(sys, "argv", ["cassle", *arguments])
        if self.capsys is not None:
            self.capsys.readouterr()
        code = 0
        try:
            command()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        out, err = ("", "") if self.capsys is None else self.capsys.readouterr()
        return code, out, err

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed; return its output."""
        code, out, err = self.cassle(*arguments)
        assert code == 0, err
        return out
