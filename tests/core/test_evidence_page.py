"""A data set's section of docs/evidence.md is replaced alone."""

from __future__ import annotations

from benchmarks.evidence import with_section

PAGE = "# Evidence\n\n## One\n\n1\n\n## Two\n\n2\n"


def test_a_section_is_replaced_where_it_stands_or_comes_last() -> None:
    assert with_section(PAGE, "## One\n\nnew\n") == "# Evidence\n\n## One\n\nnew\n\n## Two\n\n2\n"
    assert with_section(PAGE, "## Two\n\nnew\n") == "# Evidence\n\n## One\n\n1\n\n## Two\n\nnew\n"
    assert with_section(PAGE, "## Three\n\n3\n") == PAGE + "\n## Three\n\n3\n"
