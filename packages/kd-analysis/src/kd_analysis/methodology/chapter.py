"""A thesis chapter: paragraphs, the facts behind them with what each stands on, tables; as Markdown and as LaTeX.

The LaTeX needs the package booktabs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kd_analysis.report.latex import escape_latex
from kd_analysis.report.markdown import escape as markdown

NOT_ON_RECORD = "not on record"
WIDEST = 84
"""Characters of a row that a page is wide enough for."""
CHARACTER = 0.0115
"""Width of one, as a share of the page's: no column is narrower than its longest word."""
FACTS = ("", "value", "stands on")


@dataclass(frozen=True)
class Fact:
    """`value` is what can be claimed; `source` what shows it, empty where nothing does."""

    name: str
    value: str = NOT_ON_RECORD
    source: str = ""


@dataclass(frozen=True)
class FactTable:
    """A table; `note` says what its numbers are."""

    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    grid: FactTable | None = None

    @property
    def tables(self) -> Iterator[FactTable]:
        """The facts that are known as a table, and the part's own."""
        rows = tuple((fact.name, fact.value, fact.source) for fact in self.facts if fact.source)
        if rows:
            yield FactTable("", FACTS, rows)
        if self.grid and self.grid.rows:
            yield self.grid

    @property
    def unknown(self) -> str:
        """A sentence on what nothing records; empty if there is none."""
        names = [fact.name for fact in self.facts if not fact.source]
        return f"Not on record: {', '.join(names)}." if names else ""


@dataclass(frozen=True)
class Chapter:
    title: str
    remark: str
    parts: tuple[Part, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def as_markdown(chapter: Chapter) -> str:
    return "\n".join(_markdown(chapter)).rstrip() + "\n"


def as_latex(chapter: Chapter) -> str:
    """For \\input into a document; sections are unnumbered."""
    return "\n".join(_latex(chapter)).rstrip() + "\n"


def _markdown(chapter: Chapter) -> Iterator[str]:
    yield from (f"# {markdown(chapter.title)}", "", markdown(chapter.remark), "")
    for part in chapter.parts:
        yield from (f"## {markdown(part.title)}", "")
        for text in _texts(part):
            yield from (markdown(text), "")
        for found in part.tables:
            yield from (markdown(found.note), "") if found.note else ()
            yield from _markdown_rows((tuple(map(markdown, found.header)), ("---",) * len(found.header)))
            yield from _markdown_rows([tuple(map(markdown, row)) for row in found.rows])
            yield ""


def _texts(part: Part) -> Iterator[str]:
    yield from part.paragraphs
    if part.unknown:
        yield part.unknown


def _markdown_rows(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _latex(chapter: Chapter) -> Iterator[str]:
    yield r"% \usepackage{booktabs}"
    yield from (rf"\section*{{{escape_latex(chapter.title)}}}", *_latex_paragraph(chapter.remark))
    for part in chapter.parts:
        yield from ("", rf"\subsection*{{{escape_latex(part.title)}}}")
        for text in _texts(part):
            yield from _latex_paragraph(text)
        for found in part.tables:
            yield from _latex_table(found)


def _latex_paragraph(text: str) -> Iterator[str]:
    """Paths may break behind their slashes: a line of type is shorter than they are."""
    breakable = escape_latex(text).replace("/", r"/\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
    yield from (rf"{{\sloppy {breakable}\par}}", "")


def _latex_table(found: FactTable) -> Iterator[str]:
    yield from _latex_paragraph(found.note) if found.note else ()
    yield r"\medskip\begingroup\scriptsize\sloppy\setlength{\tabcolsep}{3pt}"
    yield rf"\noindent\begin{{tabular}}{{@{{}}{_columns(found)}@{{}}}}"
    yield r"\toprule"
    for number, row in enumerate((found.header, *found.rows)):
        yield " & ".join(map(escape_latex, row)) + r" \\"
        if number == 0:
            yield r"\midrule"
    yield from (r"\bottomrule", r"\end{tabular}", r"\par\endgroup\medskip")


def _columns(grid: FactTable) -> str:
    """As wide as their words; columns of a table with whole sentences share the width of the page and break lines."""
    columns = [*zip(*(grid.header, *grid.rows), strict=True)]
    longest = [max(map(len, cells)) for cells in columns]
    if sum(longest) <= WIDEST:
        return "l" * len(longest)
    words = [max(len(word) for cell in cells for word in cell.split() or [""]) for cells in columns]
    room = 0.93 - CHARACTER * sum(words)
    shares = [CHARACTER * word + room * length / sum(longest) for word, length in zip(words, longest, strict=True)]
    return "".join(rf"p{{{share:.3f}\linewidth}}" for share in shares)
