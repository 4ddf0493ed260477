"""Reading the recorded PBS transcripts: each command with the bytes it answered."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

FIXTURES = Path(__file__).parent / "fixtures" / "pbs"
_BLOCK = re.compile(
    r"^\$ (?P<command>.+)\n\[exit (?P<exit>\d+)[^\]]*\]\n"
    r"--stdout--\n(?P<stdout>(?s:.*?))--stderr--\n(?P<stderr>(?s:.*?))(?=\n\$ |\n## |\n### |\Z)",
    re.MULTILINE,
)


class Recorded(NamedTuple):
    command: str
    exit_status: int
    stdout: str
    stderr: str


@cache
def transcript(name: str) -> tuple[Recorded, ...]:
    text = (FIXTURES / name).read_text()
    found = _BLOCK.finditer(text)
    return tuple(Recorded(item["command"], int(item["exit"]), item["stdout"], item["stderr"]) for item in found)


def answer(name: str, command: str) -> Recorded:
    """The first recorded answer to exactly `command`."""
    return next(recorded for recorded in transcript(name) if recorded.command == command)
