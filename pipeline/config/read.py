"""Reading of params.yaml: validated params, or one line for each problem."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pipeline.config.messages import explain_problems
from pipeline.config.params import Params, validate_params
from pipeline.config.yaml_text import read_file, read_mapping
from pipeline.errors import ParamsError


def load_params(path: Path) -> Params:
    """Return the validated params.

    Raises:
        ParamsError: the file is missing, not YAML or invalid; one line for each problem.
    """
    return parse_params(read_params_text(path), str(path))


def read_params_text(path: Path) -> str:
    """Return the text of a params file.

    Raises:
        ParamsError: it is missing, no regular file, or cannot be read.
    """
    return read_file(
        path,
        "name a params file with --params",
        "run this in the project's root, or name the file with --params (`cassle new` makes a "
        "project)",
    )


def parse_params(text: str, source: str) -> Params:
    """Return the validated params of a text.

    Args:
        text: YAML.
        source: the text's name in messages.

    Raises:
        ParamsError: as in ``load_params``.
    """
    values = read_mapping(text, source)
    try:
        return validate_params(values)
    except ValidationError as error:
        problems = explain_problems(error, values)
        raise ParamsError("\n".join(f"{source}: {line}" for line in problems)) from error
