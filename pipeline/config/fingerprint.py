"""A fingerprint of exactly the code that a stage uses.

The plan stage writes it into each stage's plan file. So DVC reruns a stage when a module that
it uses changes, and not when another method or strategy is added. Comments, docstrings and
blank lines do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import os
import tokenize
from collections.abc import Iterable
from pathlib import Path

from pipeline.layout import ROOT

# Modules and packages that never affect a state, a split or a metric: messages, file names
# (dvc.yaml depends on these by itself), the progress bar, the times of checkpoints, measured
# seconds, locks, how several processes form a group, and what is measured while a task trains,
# whose code is in the plan of that.
NOT_SHAPING = frozenset(
    {
        "pipeline.errors",
        "pipeline.layout",
        "pipeline.artifacts.remedy",
        "pipeline.stages.train_probing",
        "pipeline.training.callbacks",
        "pipeline.training.loggers",
        "pipeline.training.saved",
        "pipeline.runtime.elapsed",
        "pipeline.runtime.inputs",
        "pipeline.runtime.locks",
        "pipeline.runtime.signals",
        "pipeline.runtime.dvc_process",
        "pipeline.runtime.shortages",
        "pipeline.distributed.processes",
        "pipeline.distributed.group",
    }
)
SOURCES = (".py", ".html", ".css")  # endings of the package's files


@functools.cache
def _source(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# What follows from a text alone is kept by the text, for copies of the package too.
@functools.cache
def _parse(text: str) -> list[ast.AST]:
    """Return the nodes of a text's syntax tree."""
    return list(ast.walk(ast.parse(text)))


@functools.cache
def _list_imported(text: str) -> frozenset[str]:
    """Return what a text may import of this package: a module, or a name in one."""
    found = set()
    for node in _parse(text):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.startswith("pipeline."))


def imported_modules(path: Path) -> frozenset[str]:
    """Return the modules of this package that a file imports, at any level of it."""
    return frozenset(name for name in _list_imported(_read(path)) if _source(name))


def closure(modules: Iterable[str]) -> list[str]:
    """Return the modules and all that they import, directly or indirectly, sorted.

    What is not shaping is left out, unless it is one of the modules. Importing a module also runs
    the ``__init__`` of the packages that hold it.
    """
    waiting, seen = set(modules), set()
    asked = frozenset(waiting)
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path is None or name in seen or (name not in asked and _is_not_shaping(name)):
            continue
        seen.add(name)
        waiting |= imported_modules(path)
        waiting.add(name.rpartition(".")[0])
    return sorted(seen)


def _is_not_shaping(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_SHAPING)


@functools.cache
def code_text(text: str) -> str:
    """Return a module's source without comments, docstrings and blank lines."""
    nodes = _parse(text)
    lines = [line.encode() for line in text.splitlines()]
    kept_as_they_are: set[int] = set()
    docstrings = {id(node.value) for node in map(_docstring, nodes) if node is not None}
    for node in nodes:
        if not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        if id(node) in docstrings:
            after = lines[last][node.end_col_offset :]
            lines[first] = lines[first][: node.col_offset]
            lines[first + 1 : last + 1] = [b""] * (last - first)
            lines[last] += after
        elif last > first:
            kept_as_they_are.update(range(first, last + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        # The comment may follow a removed docstring, so it is matched from the line's end.
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1].removesuffix(
                token.line[column:].rstrip("\r\n").encode()
            )
    return "\n".join(
        line.decode() if row in kept_as_they_are else line.decode().rstrip()
        for row, line in enumerate(lines)
        if row in kept_as_they_are or line.strip()
    )


def _docstring(node: ast.AST) -> ast.Expr | None:
    holders = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    first = node.body[0] if isinstance(node, holders) and node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first if isinstance(first.value.value, str) else None
    return None


@functools.cache
def code_fingerprint(*modules: str) -> str:
    """Return the SHA-256 of the code of ``modules`` and all that they import."""
    total = hashlib.sha256()
    for name in closure(modules):
        path = _source(name)
        assert path is not None, f"closure() returned {name}, which has no source"
        total.update(f"{name}\n{code_text(_read(path))}\n".encode())
    return total.hexdigest()


def forget_sources() -> None:
    """Have the next fingerprint read all files again."""
    for function in (_source, _read, code_fingerprint):
        function.cache_clear()


def list_sources() -> list[Path]:
    """Return the files of the package and its page's templates, but none that editors leave."""
    found = []
    for folder, folders, names in os.walk(ROOT / "pipeline"):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.endswith(SOURCES) and not name.startswith(".")
        ]
    return found


def digest_sources() -> str:
    """Return the SHA-256 of the package's files, byte for byte.

    It takes a hundredth of a fingerprint's time. Where it is as it was when the plans were made,
    the fingerprints are, too.
    """
    total = hashlib.sha256()
    for path in list_sources():
        try:
            content = path.read_bytes()
        except OSError:  # it has just gone
            continue
        total.update(f"{path.relative_to(ROOT)}\n{len(content)}\n".encode() + content)
    return total.hexdigest()
