"""TOML that people write: the bytes of a file -> its tables, whatever editor saved it."""

from __future__ import annotations

import codecs
import re
import tomllib
from typing import Any

MOST_BYTES = 256 * 1024
"""A campaign is a page; beyond this a file is none, and would only be slow to read."""
_LONG_KEY = re.compile(r"""(?:\.[ \t]*[\w"'-]+[ \t]*){20}""")
"""A key of so many parts belongs to no table of ours, and tomllib's time grows with the square of their number."""


def text_of(content: bytes) -> str:
    """Raises ValueError, which says how it was saved instead of as UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it was saved as UTF-16, and must be UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it was not saved as UTF-8 (at line {line})") from None


def parse(text: str) -> dict[str, Any]:
    """Raises ValueError, which says why it is no TOML; tomllib names the line."""
    if _LONG_KEY.search(text):
        raise ValueError("it has a key of more than 20 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its lists or tables are nested too deeply") from None


def tables_of(content: bytes) -> dict[str, Any]:
    """Both in one. Raises ValueError."""
    return parse(text_of(content))
