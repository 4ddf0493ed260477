"""What commands print: tables for eyes, aligned columns for pipes, JSON for programs. What is typed is never cut."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

from kd_hpc.screen.escapes import control, printable

GAP = "  "
_ESC = "\x1b"
_INDENT = "    "
_FALLBACK = (80, 24)
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36", "bold": "1", "dim": "2"}
_STYLES = {
    "ok": "green",
    "warning": "yellow",
    "wrong": "red",
    "completed": "green",
    "done": "green",
    "submit": "cyan",
    "resubmit": "cyan",
    "in_progress": "cyan",
    "failed": "red",
    "fail": "red",
    "suspect": "red",
    "unreadable": "red",
    "quarantine": "red",
    "block": "red",
    "wait": "dim",
    "not_started": "dim",
}
"""How words of state look, wherever they fill a cell."""


def print_json(data: Mapping[str, Any], *, version: int = 1) -> None:
    """On stdout: `data` with the version of its schema, which docs/guide/json.md describes."""
    print(json.dumps({"schema_version": version, **data}, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, typed: Collection[str] = ()) -> None:
    """On stdout: aligned columns; on a terminal too narrow for them, further lines below each row's first cells.

    Cells of the columns `typed` are never broken: a person copies them.
    """
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if not sys.stdout.isatty():
        for row in (header, *rows):
            print(_aligned(row, widths))
        return
    room, _ = screen_size()
    if sum(widths) + len(GAP) * (len(widths) - 1) <= room:
        print(paint(_aligned(header, widths), "bold"))
        for row in rows:
            print(_aligned(row, widths, styled=True))
        return
    for row in rows:
        for line in stacked(row, widths, room, [name in typed for name in header]):
            print(line)


def stacked(row: Sequence[str], widths: Sequence[int], room: int, typed: Sequence[bool]) -> list[str]:
    """The row on several lines, none wider than `room` but those that must not be broken."""
    first = max(1, _fitting(widths, room))
    lines = [_aligned(row[:first], widths, styled=True)]
    prose = GAP.join(cell for cell, whole in zip(row[first:], typed[first:], strict=True) if cell and not whole)
    lines += [paragraph(prose, _INDENT, room=room)] if prose else []
    return lines + [_INDENT + cell for cell, whole in zip(row[first:], typed[first:], strict=True) if cell and whole]


def paragraph(text: str, begin: str = "", *, room: int | None = None) -> str:
    """`text` behind `begin`, in as many lines as the terminal needs, those below the first indented as far as it is."""
    return textwrap.fill(
        text,
        room or screen_size()[0],
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_prose(text: str, begin: str = "") -> None:
    """On stdout: `text` behind `begin`, broken between words where a terminal is too narrow; in a pipe, one line."""
    print(paragraph(text, begin) if sys.stdout.isatty() else f"{begin}{text}")


def screen_size() -> tuple[int, int]:
    """Columns and lines of the terminal; in a pipe, those of one of 80 x 24."""
    return shutil.get_terminal_size(_FALLBACK) if sys.stdout.isatty() else _FALLBACK


def rows_of(line: str, columns: int) -> int:
    """How many rows of a terminal a line without colours fills."""
    return max(1, -(-len(line) // columns))


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in that style where `stream`, stdout by default, is a terminal that shows colours."""
    stream = stream or sys.stdout
    if not style or not text or not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"{control(f'{_ESC}[{_COLOURS[style]}m')}{text}{control(f'{_ESC}[0m')}"


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many columns, from the first, fit side by side."""
    taken = -len(GAP)
    for count, width in enumerate(widths):
        taken += width + len(GAP)
        if taken > room:
            return count
    return len(widths)


def _aligned(row: Sequence[str], widths: Sequence[int], *, styled: bool = False) -> str:
    """The cells side by side, each as wide as its column; nothing behind the last that has any text."""
    last = max((place for place, cell in enumerate(row) if cell), default=-1)
    cells = []
    for place, (cell, width) in enumerate(zip(row[: last + 1], widths, strict=False)):
        padding = " " * (width - len(cell)) if place < last else ""
        cells.append((paint(cell, _STYLES.get(cell, "")) if styled else cell) + padding)
    return GAP.join(cells)
