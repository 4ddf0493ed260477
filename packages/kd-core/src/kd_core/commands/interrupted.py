"""Ctrl-C in a command that takes long: what is kept, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def if_interrupted(kept: str, remedy: str) -> Iterator[None]:
    """Within it Ctrl-C raises Interrupted, which says both."""
    from kd_hpc.errors import Interrupted

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted: {kept}.", remedy=remedy) from None
