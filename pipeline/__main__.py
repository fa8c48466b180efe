"""``python -m pipeline`` is ``cassle``."""

import gc
import sys

from pipeline import empty_slots

if __name__ == "__main__" and not empty_slots.ends_here(sys.argv[1:]):
    from pipeline import ahead

    if not ahead.ends_here(sys.argv[1:]):
        from pipeline.cli import main

        try:
            main()
        finally:
            # Python would look through all objects of torch once more before it ends.
            gc.freeze()
