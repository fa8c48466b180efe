"""``python -m pipeline`` is ``cassle``."""

import sys

from pipeline.empty_slots import ends_here

if __name__ == "__main__" and not ends_here(sys.argv[1:]):
    from pipeline.cli import main

    main()
