"""Keep the memory that torch frees on the CPU for the next step, instead of asking for it anew.

A step allocates and frees the same activations again and again. glibc hands blocks as large
as these back to the system at once, and the system clears each page before it is used again.

And look for garbage less often than Python does by itself, which importing torch sets off all
the time.
"""

from __future__ import annotations

import ctypes
import gc

# mallopt's names, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 2**30  # bytes; above it blocks still come from the system
KEPT = 2**31 - 1  # bytes at the heap's end, an int's most

GC_THRESHOLD = 50_000  # net new objects before Python looks for reference cycles


def collect_seldom() -> None:
    """Look for garbage in cycles after every 50,000 new objects, where Python does after 700."""
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def keep_freed_memory() -> bool:
    """Keep freed blocks in this process; return whether its C library can (glibc alone)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))


def before_torch() -> None:
    """Make a process that trains or evaluates start and run faster; its results stay."""
    collect_seldom()
    keep_freed_memory()
