"""What a report is made of, free of any format: sections of texts, tables and figures."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

TableValue = str | int | float | None


@dataclass(frozen=True)
class Text:
    """A paragraph, in plain text. `kind`: text, warning (a banner) or limits (what the reader must not conclude)."""

    content: str
    kind: str = "text"


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """`digits` formats numbers; None leaves whole numbers and text as they are. `signed` prints the plus."""

    name: str
    digits: int | None = None
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """`name` is its file in tables/. Rows hold raw values; missing ones are None."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableValue, ...], ...]
    csv_only: bool = False


@dataclass(frozen=True)
class Figure:
    """`name` is its file in figures/; drawn when it is rendered. `note` prints what limits it."""

    name: str
    caption: str
    draw: Callable[[], Drawing]


Block = Text | Bullets | Table | Figure


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def tables(self) -> Iterator[Table]:
        return (block for section in self.sections for block in section.blocks if isinstance(block, Table))

    @property
    def figures(self) -> Iterator[Figure]:
        return (block for section in self.sections for block in section.blocks if isinstance(block, Figure))


def table(name: str, caption: str, columns: Sequence[Column | str], rows: Iterable[Sequence[object]]) -> Table:
    """A Table from plain lists; a NaN becomes a missing value."""
    named = tuple(Column(column) if isinstance(column, str) else column for column in columns)
    return Table(name, caption, named, tuple(tuple(map(_clean, row)) for row in rows))


def shown(value: TableValue, column: Column) -> str:
    """The value as HTML and Markdown print it; a dash where it is missing."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if column.digits is None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"{value:{'+' if column.signed else ''}.{column.digits}f}"


def slug(text: str) -> str:
    """A file name for any text: letters, digits and underscores, with a hash where that loses something."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    reversible = re.fullmatch(r"[A-Za-z0-9_ ]+", text) is not None
    return plain if reversible else f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _clean(value: object) -> TableValue:
    """Plain Python values, whatever array or frame they came from."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
