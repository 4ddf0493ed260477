"""A document as Markdown: the same sections, texts and numbers, figures as links."""

from __future__ import annotations

from collections.abc import Iterator

from kd_analysis.report.document import Block, Bullets, Document, Figure, Table, Text, shown
from kd_hpc.screen import escapes

escape = escapes.markdown


def render_markdown(document: Document) -> str:
    """The whole document, ending in a newline."""
    return "\n".join(_lines(document)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield from (f"# {escape(document.title)}", "", escape(document.subtitle), "")
    for section in document.sections:
        yield from (f"## {escape(section.title)}", "")
        for block in section.blocks:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text(content, kind):
            mark = {"warning": "> **Warning.** ", "limits": "> **Limits.** "}.get(kind, "")
            yield from (mark + escape(content), "")
        case Bullets(items):
            yield from (f"- {escape(item)}" for item in items)
            yield ""
        case Figure(name, caption):
            yield from (f"![{escape(caption)}](figures/{name}.svg)", "", f"*{escape(caption)}*")
            yield from (f"([numbers](figures/{name}.csv))", "")
        case Table(csv_only=False) if block.rows:
            yield from _table(block.page)


def _table(table: Table) -> Iterator[str]:
    yield from (f"**{escape(table.caption)}** ([CSV](tables/{table.name}.csv))", "")
    yield "| " + " | ".join(escape(column.heading) for column in table.columns) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        cells = (escape(shown(value, column)) for value, column in zip(row, table.columns, strict=True))
        yield "| " + " | ".join(cells) + " |"
    yield ""
