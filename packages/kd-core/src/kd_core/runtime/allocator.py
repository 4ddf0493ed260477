"""How the C library hands out memory on the host."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask malloc to keep freed memory for the next step instead of returning it; False where nobody listens.

    By default every tensor of some 100 KB is mapped, faulted in page by page, and unmapped again: two thirds of the
    time of a resized crop. A process's memory then stays at its peak, which is what its job has to ask for anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # no glibc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_TRIM_THRESHOLD, _NEVER))
