"""``python -m pipeline`` is ``cassle``."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
