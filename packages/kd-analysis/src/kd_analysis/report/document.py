"""What a report is made of, free of any format: sections of texts, tables and figures."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from kd_analysis.accuracy.names import fixed, show_method

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

TableValue = str | int | float | None
Kind = Literal["", "method", "p", "percent"]
SURE = frozenset({str, int, bool, type(None)})
"""Types whose every value is one of a table."""


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
    """`name` heads the CSV, `label` the page if it is not the same.

    `digits` formats numbers; None leaves whole numbers and text as they are. `signed` prints the plus. `kind` shows
    methods under the names papers use, p values as far as they can be told, and keeps accuracies within 0 and 100.
    `beside` columns are in the CSV alone.
    """

    name: str
    digits: int | None = None
    signed: bool = False
    label: str = ""
    kind: Kind = ""
    beside: bool = False

    @property
    def heading(self) -> str:
        return self.label or self.name


@dataclass(frozen=True)
class Table:
    """`name` is its file in tables/. Rows hold raw values; missing ones are None."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableValue, ...], ...]
    csv_only: bool = False

    @property
    def page(self) -> Table:
        """The table as pages show it: without the columns that are for programs."""
        kept = [place for place, column in enumerate(self.columns) if not column.beside]
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in kept), rows=rows)


@dataclass(frozen=True)
class Figure:
    """`name` is its file in figures/; drawn when it is rendered. `data` are the numbers it shows, beside it as CSV."""

    name: str
    caption: str
    draw: Callable[[], Drawing]
    data: Table


Block = Text | Bullets | Table | Figure


@dataclass(frozen=True)
class Section:
    """`folded` ones show their title until they are opened."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = True

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(block for block in self.blocks if isinstance(block, Figure))


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
        return (figure for section in self.sections for figure in section.figures)


def table(
    name: str,
    caption: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[object]],
    *,
    csv_only: bool = False,
) -> Table:
    """A Table from plain lists; a NaN becomes a missing value."""
    named = tuple(Column(column) if isinstance(column, str) else column for column in columns)
    return Table(name, caption, named, tuple([_cleaned(row) for row in rows]), csv_only)


def shown(value: TableValue, column: Column) -> str:
    """The value as HTML and Markdown print it; a dash where it is missing."""
    if value is None:
        return "–"
    if column.kind == "method" and isinstance(value, str):
        return show_method(value)
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if column.kind == "p":
        return show_p(value)
    if column.kind == "percent":
        value = min(100.0, max(0.0, value))
    if column.digits is None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return fixed(value, column.digits, signed=column.signed)


def show_p(p: float) -> str:
    """A p value as far as it can be told: never 0, and 1 only where it is."""
    if not math.isfinite(p):
        return "–"
    if p < 0.0001:
        return "<0.0001"
    if p > 0.999:
        return ">0.999" if p < 1 else "1"
    return f"{p:.4f}" if p < 0.01 else f"{p:.3f}"


def p_words(p: float) -> str:
    """The same in a sentence: p = 0.02, p < 0.0001."""
    text = show_p(p)
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def slug(text: str) -> str:
    """A file name for any text: letters, digits and underscores, with a hash where that loses something."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    reversible = re.fullmatch(r"[A-Za-z0-9_ ]+", text) is not None
    return plain if reversible else f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _cleaned(row: Sequence[object]) -> tuple[TableValue, ...]:
    return tuple([value if type(value) in SURE else _clean(value) for value in row])  # type: ignore[misc]


def _clean(value: object) -> TableValue:
    """Plain Python values, whatever array or frame they came from."""
    if type(value) is not float and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else value or 0.0  # of the two zeros the one without a sign
    return value if value is None or isinstance(value, (str, int)) else str(value)
