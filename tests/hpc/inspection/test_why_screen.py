"""kd-hpc why stays within a screen whatever it has to say, counted in rows of the terminal."""

from __future__ import annotations

import pytest

from kd_hpc.inspection.why import Link
from kd_hpc.inspection.why_text import chain_lines
from kd_hpc.screen.terminal import rows_of


@pytest.mark.parametrize("room", [10, 23])
def test_lines_that_are_never_broken_count_as_the_rows_they_fill(room: int) -> None:
    links = [Link("run", "experiments/" + "x" * 200)]
    links += [Link(f"remark {number}", "word " * 60) for number in range(9)]
    lines = chain_lines(links, 80, room)
    assert sum(rows_of(line, 80) for line in lines) <= room
    assert lines[0].endswith("x" * 200)
    assert lines[-1] == "Everything: the same command with --all"
