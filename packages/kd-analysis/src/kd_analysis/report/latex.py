"""Text and tables as LaTeX: tables need the package booktabs."""

from __future__ import annotations

from kd_analysis.report.document import Column, Table, TableValue, shown
from kd_hpc.screen import escapes

MOST_ROWS = 120
"""Longer tables are read by programs, not set in a thesis."""
escape_latex = escapes.latex


def to_latex(table: Table) -> str:
    """A tabular to be \\input into a table environment; numbers to the right."""
    table = table.page
    numeric = [_is_number(column, [row[place] for row in table.rows]) for place, column in enumerate(table.columns)]
    lines = [
        rf"% {escape_latex(table.caption)}",
        rf"\begin{{tabular}}{{@{{}}{''.join('lr'[number] for number in numeric)}@{{}}}}",
    ]
    lines += [r"\toprule", " & ".join(escape_latex(column.heading) for column in table.columns) + r" \\", r"\midrule"]
    lines += [" & ".join(_cell(v, c) for v, c in zip(row, table.columns, strict=True)) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _is_number(column: Column, values: list[TableValue]) -> bool:
    return column.digits is not None or column.kind == "p" or any(isinstance(value, int | float) for value in values)


def _cell(value: TableValue, column: Column) -> str:
    text = shown(value, column)
    negative = isinstance(value, float) and text.startswith("-")
    return rf"\ensuremath{{-}}{escape_latex(text[1:])}" if negative else escape_latex(text)
