"""Sizes of memory as a campaign and a scheduler spell them: 16gb, 800mb, 16777216kb."""

from __future__ import annotations

import re

_UNITS = {"b": 1 / 1024, "kb": 1, "mb": 1024, "gb": 1024**2, "tb": 1024**3}
_SIZE = re.compile(r"([0-9]+)(b|kb|mb|gb|tb)", re.IGNORECASE)
_HEADROOM = 1.25
"""A job killed at its limit was still growing: the next size leaves a quarter above what it had."""


def in_kilobytes(size: str | None) -> int | None:
    """The size in units of 1024 bytes; None for None and for what is no size."""
    match = _SIZE.fullmatch(size or "")
    return None if match is None else int(int(match[1]) * _UNITS[match[2].lower()])


def next_size(kilobytes: int) -> str | None:
    """The next size worth asking for after `kilobytes` did not suffice: 1 or 1.5 times a power of two; None after 0."""
    if kilobytes <= 0:
        return None
    megabytes = 64
    while megabytes * 1024 < kilobytes * _HEADROOM:
        megabytes = megabytes * 3 // 2 if megabytes & (megabytes - 1) == 0 else megabytes * 4 // 3
    return f"{megabytes // 1024}gb" if megabytes % 1024 == 0 else f"{megabytes}mb"
