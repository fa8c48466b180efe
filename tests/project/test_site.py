"""The site of the documents builds without a warning and without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pipeline
pytest.importorskip("mkdocs")

ROOT = next(folder for folder in Path(__file__).parents if (folder / "params.yaml").exists())
# What a browser fetches to show a page; a link that people follow is none.
FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"?(https?:)?//[^>]*>"
)


def test_the_site_is_complete_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ran = subprocess.run(
        build,
        cwd=ROOT,
        env={
            **os.environ,
            "http_proxy": nowhere,
            "https_proxy": nowhere,
            "NO_MKDOCS_2_WARNING": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    assert pages.keys() >= {"index.html", "extending.html", "reference/commands.html"}
    for name, path in pages.items():
        assert not FETCHED.search(path.read_text(encoding="utf-8")), name
    for path in tmp_path.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", path.read_text(encoding="utf-8")), path
    commands = pages["reference/commands.html"].read_text(encoding="utf-8")
    assert "cassle preset cost" in commands
    assert "pipeline.methods.base.Method.loss" in pages["reference/methods.html"].read_text("utf-8")
