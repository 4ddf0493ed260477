"""Facts for a thesis chapter, each with what it stands on, as Markdown and as LaTeX that needs no package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kd_analysis.report.latex import escape_latex
from kd_analysis.report.markdown import escape as markdown

NOT_ON_RECORD = "not on record"
WIDEST = 120
"""Characters of a row that a page is wide enough for."""
CHARACTER = 0.0115
"""Width of one, as a share of the page's: no column is narrower than its longest word."""


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
    facts: tuple[Fact, ...] = ()
    grid: FactTable | None = None


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
        for fact in part.facts:
            yield f"- {markdown(fact.name)}: {markdown(_with_source(fact))}"
        if part.grid:
            yield from (markdown(part.grid.note), "")
            yield from _markdown_rows((part.grid.header, ("---",) * len(part.grid.header)))
            yield from _markdown_rows([tuple(map(markdown, row)) for row in part.grid.rows])
        yield ""


def _markdown_rows(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _latex(chapter: Chapter) -> Iterator[str]:
    yield from (rf"\section*{{{escape_latex(chapter.title)}}}", escape_latex(chapter.remark))
    for part in chapter.parts:
        yield from ("", rf"\subsection*{{{escape_latex(part.title)}}}")
        if part.facts:
            yield r"\begin{itemize}"
            for fact in part.facts:
                yield rf"  \item {escape_latex(fact.name)}: {escape_latex(_with_source(fact))}"
            yield r"\end{itemize}"
        if part.grid:
            yield from _latex_grid(part.grid)


def _latex_grid(grid: FactTable) -> Iterator[str]:
    yield from (escape_latex(grid.note), "", r"\medskip\begingroup\scriptsize\setlength{\tabcolsep}{3pt}\sloppy")
    yield from (rf"\noindent\begin{{tabular}}{{@{{}}{_columns(grid)}@{{}}}}", r"\hline")
    for number, row in enumerate((grid.header, *grid.rows)):
        yield " & ".join(map(escape_latex, row)) + r" \\" + (r" \hline" if number == 0 else "")
    yield from (r"\hline", r"\end{tabular}", r"\par\endgroup")


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


def _with_source(fact: Fact) -> str:
    return f"{fact.value} [{fact.source}]" if fact.source else fact.value
