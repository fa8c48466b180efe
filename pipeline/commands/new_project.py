"""new: a project folder, from what comes with the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline import layout
from pipeline.config.presets import merge, require_writable_path
from pipeline.config.read import parse_params
from pipeline.errors import RunError, closest
from pipeline.files.new_folder import require_new_folder, write_new_folder
from pipeline.files.sealed_json import dump_json
from pipeline.runtime.git import in_repository, run_git

DEFAULT_PRESET = "own_images_small"
# In a clone DVC sees the code, in `pipeline/`. Where it is installed it does not, so a stage asks
# what code there is, each time; what depends on the code depends on the answer.
CODE_IN_A_CLONE = "      - pipeline\n"
CODE_INSTALLED = f"      - {layout.CODE}\n"
CODE_STAGE = f"""\
  code:
    desc: which code is installed
    # DVC does not see it, so this runs each time; what follows runs if the answer is another.
    cmd: python -m pipeline code
    always_changed: true
    outs:
      - {layout.CODE}

"""


def run(folder: Path, images: Path | None, preset: str | None, *, git: bool) -> None:
    """Write a project into a new folder, and make it a repository of git and DVC.

    In a folder of a git repository it becomes a part of that.

    Args:
        folder: the new folder.
        images: a folder of one's own images for ``data.root``; None: the embedded images.
        preset: whose params are set for one's own images; None: ``DEFAULT_PRESET``.
        git: whether DVC shall use git.

    Raises:
        PipelineError: the folder is not new, or lies among the images, git is missing or ignores
            it, there is no folder of images or no such preset, a preset is named without such a
            folder, or files of the program are missing.
    """
    if images is None and preset is not None:
        raise RunError(
            f"new: --preset {preset} is for your own images; name their folder with --images, or "
            "leave --preset out"
        )
    _require_place(folder, git=git)
    if images is not None and folder.resolve().is_relative_to(images.resolve()):
        raise RunError(
            f"new: --images {images} holds {folder}, whose own files would be among the images; "
            "name a new folder that lies elsewhere"
        )
    inside = git and in_repository(_find_parent(folder))
    contents = _read_files(layout.PROJECT if images else (*layout.PROJECT, *layout.EMBEDDED))
    chain = contents[str(layout.CHAIN)].decode()
    contents[str(layout.CHAIN)] = name_installed_code(chain).encode()
    if images is not None:
        params = contents[str(layout.PARAMS)].decode()
        set_for = _set_params(params, contents, images, preset or DEFAULT_PRESET)
        contents[str(layout.PARAMS)] = set_for.encode()
    if not git:
        config = contents[".dvc/config"].decode()
        contents[".dvc/config"] = config.replace("[core]\n", "[core]\n    no_scm = True\n").encode()
    write_new_folder(folder, contents)
    if git and not inside and run_git("-C", str(folder), "init", "--quiet") is None:
        raise RunError(f"{folder} is written, and `git init` failed in it; run it there yourself")
    _tell(folder, images, git=git, inside=inside)


def name_installed_code(chain: str) -> str:
    """Return the text of dvc.yaml for a project that does not hold the code.

    Args:
        chain: that of a clone.
    """
    assert CODE_IN_A_CLONE in chain, "dvc.yaml names no code"
    head, stages, rest = chain.partition("stages:\n")
    return head + stages + CODE_STAGE + rest.replace(CODE_IN_A_CLONE, CODE_INSTALLED)


def _require_place(folder: Path, *, git: bool) -> None:
    """Check that a project can be made there; errors are those of ``run``."""
    require_new_folder(folder)
    if folder.resolve() == Path.cwd():
        raise RunError(f"new: {folder} is the folder you are in; name a new one")
    if not git:
        return
    parent = _find_parent(folder)
    try:
        run_git("--version")
    except RunError as error:
        raise RunError("new: git cannot be run; install it, or add --no-git") from error
    where = os.path.abspath(folder)  # noqa: PTH100
    if in_repository(parent) and (
        run_git("-C", str(parent), "check-ignore", "--quiet", where) is not None
    ):
        raise RunError(
            f"new: the git repository around {folder} ignores it, and DVC needs its files in git; "
            "name another folder, or add --no-git"
        )


def _find_parent(folder: Path) -> Path:
    """The nearest folder around a new one that is there."""
    return next(each for each in folder.absolute().parents if each.is_dir())


def _read_files(patterns: Sequence[str]) -> dict[str, bytes]:
    """The files that come with the program, by their paths in a project.

    Raises:
        RunError: they are not there.
    """
    found: dict[str, bytes] = {}
    for pattern in patterns:
        paths = sorted(layout.SHIPPED.glob(pattern))
        if not paths:
            raise RunError(f"new: {layout.SHIPPED / pattern} is missing; install the program again")
        for path in paths:
            found[path.relative_to(layout.SHIPPED).as_posix()] = path.read_bytes()
    return found


def _set_params(text: str, contents: dict[str, bytes], images: Path, preset: str) -> str:
    """Return the text of params.yaml for one's own images.

    Args:
        text: as it comes with the program.
        contents: the files of the project, with its presets.
        images: the folder of images.
        preset: the name of a preset for such.

    Raises:
        PipelineError: the folder or the preset is not there, or the params are not valid.
    """
    if not images.is_dir():
        raise RunError(f"new: --images {images} is no folder that is there")
    presets = {Path(name).stem: name for name in contents if Path(name).parent == layout.PRESETS}
    own = [name for name in presets if name.startswith("own_images")]
    if preset not in own:
        raise RunError(f"new: --preset '{preset}' is none for own images; {closest(preset, own)}")
    root = os.path.abspath(images)  # noqa: PTH100
    require_writable_path(Path(root), "new: --images")
    for layer in (contents[presets[preset]].decode(), dump_json({"data": {"root": root}})):
        text, _ = merge(text, layer)
    parse_params(text, "params.yaml of the new project")
    return text


def _tell(folder: Path, images: Path | None, *, git: bool, inside: bool) -> None:
    """Say what was made, and what comes next."""
    print(f"{folder}: params.yaml, dvc.yaml and presets/, for {images or 'the embedded images'}")
    if not git:
        print("git: none; `dvc repro` works, `dvc exp` and `cassle compare` need it")
    else:
        print(f"git: {'a folder of the repository around it' if inside else 'a new repository'}")
    print("next:")
    print(f"  cd {folder}")
    if images is not None:
        print("  set scenario and num_tasks in params.yaml, then see whether it is understood:")
    print("  cassle check")
    print("  dvc repro")
    if git:
        print("  git add --all && git commit   # with dvc.lock; before `dvc exp run`")
