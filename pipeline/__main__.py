"""``python -m pipeline``, the same as ``cassle``."""

import atexit
import os
import sys

from pipeline.runtime import empty_slots


def end(code: object) -> None:
    """End the process like ``sys.exit`` with a number, without Python's clean-up of modules.

    To clean up torch would take half a second in each stage.
    """
    if isinstance(code, int | None):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__" and not empty_slots.finish_if_empty(sys.argv[1:]):
    from pipeline.cli.main import main

    try:
        main()
    except SystemExit as stop:
        end(stop.code)
        raise
