"""Upload an export to the Hugging Face hub; importing this module imports none of its package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import RunError, describe_missing

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


def connect(repository: str) -> Any:
    """Return the hub's API, once it knows who asks: before any work is done for it.

    Args:
        repository: as ``NAME/REPO``, or ``REPO`` of one's own.

    Raises:
        RunError: the name is none, the package is not installed, or there is no token or network.
    """
    if not REPOSITORY.fullmatch(repository):
        raise RunError(f"--push {repository!r} is no name of a repository; write it as NAME/REPO")
    if find_spec("huggingface_hub") is None:
        raise RunError(describe_missing("--push", "huggingface_hub", "hub"))
    import huggingface_hub

    if huggingface_hub.get_token() is None:
        raise RunError("--push needs a token of the Hugging Face hub; run `hf auth login` first")
    api = huggingface_hub.HfApi()
    _ask("whether the token is good", lambda: api.whoami())
    return api


def push(api: Any, repository: str, output: Path, files: Sequence[str], message: str) -> str:
    """Upload the files of an export; return the address of their page.

    A repository that is not there is made, and is private: its owner may open it on its page.

    Args:
        api: as ``connect`` returns it.
        repository: likewise.
        output: the folder.
        files: their names; files of these names that are not in the folder are deleted there.
        message: of the commit.

    Raises:
        RunError: the network or the hub refuses; the export stays where it is.
    """
    there = [name for name in files if (output / name).is_file()]
    made = _ask(
        f"for the repository {repository}",
        lambda: api.create_repo(repository, private=True, exist_ok=True),
        f"; the export itself is whole, in {output}",
    )
    _ask(
        f"to take the files of {output}",
        lambda: api.upload_folder(
            repo_id=made.repo_id,
            folder_path=output,
            allow_patterns=there,
            delete_patterns=[name for name in files if name not in there],
            commit_message=message,
        ),
        f"; the export itself is whole, in {output}",
    )
    return str(made)


def _ask(what: str, call: Any, more: str = "") -> Any:
    """Call the hub; its package raises many types of errors, with texts of many lines."""
    try:
        return call()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"the Hugging Face hub was asked {what}: {reason}{more}") from error
