"""What kd-hpc check prints: each damaged file with what to do, and how much was looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from kd_hpc.inspection.integrity import Checked
from kd_hpc.screen.escapes import control
from kd_hpc.screen.terminal import paint, paragraph


def lines(checked: Checked) -> Iterator[str]:
    for damage in checked.damages:
        yield f"{paint('damaged', 'red')} {damage.file}"
        yield paragraph(f"{damage.what}.", "    ")
        yield f"    {damage.remedy}"
    looked = f"{checked.files} files of {checked.runs} runs"
    read = f", {checked.read / 1e6:.0f} MB read and compared with their digests" if checked.read else ""
    said = f"{len(checked.damages)} damaged or missing" if checked.damages else "all as they were written"
    yield f"{looked}{read}: {said}"


def progress(done: int, of: int) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        end = control("\r\x1b[K") if done == of else ""
        print(control("\r") + f"{done} of {of} runs", end=end, file=sys.stderr, flush=True)
