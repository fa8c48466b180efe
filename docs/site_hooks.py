"""What the site has beside the pages of docs/: README.md as its home, and the commands' help."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages that stand in the root of the repository, by their names in the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# What pages show or link to as it is.
SHOWN = (
    "reports/*.png",
    "reports/benchmark.md",
    "CITATION.cff",
)
LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that belong to the site."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=LINK.sub(_from_root, text)))
    for path in sorted(path for pattern in SHOWN for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links out of docs/ at the files' places in the site; print the commands' help."""
    if page.file.src_uri == "reference/commands.md":
        return f"{markdown}\n{_commands()}"
    folder = posixpath.dirname(page.file.src_uri)
    return LINK.sub(lambda link: link[1] + _from_docs(folder, link[2]), markdown)


def _from_root(link: re.Match[str]) -> str:
    """Return a link of a page in the root as the site has it."""
    return link[1] + PAGES.get(link[2], link[2].removeprefix("docs/"))


def _from_docs(folder: str, target: str) -> str:
    """Return a link's target in the site, of a page in a folder of docs/."""
    place = posixpath.normpath(posixpath.join("docs", folder, target))
    if "://" in target or place.startswith("docs/"):
        return target
    return posixpath.relpath(PAGES.get(place, place), folder or ".")


def _commands() -> str:
    """Return the help of every command of ``cassle``, as Typer writes it in Markdown."""
    import click
    import typer.cli

    from pipeline.cli.main import app

    command = typer.main.get_command(app)
    text: str = typer.cli.get_docs_for_click(obj=command, ctx=click.Context(command), name="cassle")
    return re.sub(r"^#+ `(.*)`$", lambda title: f"## `{title[1]}`", text, flags=re.MULTILINE)
