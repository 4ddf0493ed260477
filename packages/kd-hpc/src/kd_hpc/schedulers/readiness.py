"""What a check of the doctor says, and of what: is all ready for a campaign?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.schedulers.shell import Answer


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Check:
    """`command` is what to type, or the line to write, next; empty where there is nothing to do."""

    name: str
    level: Level
    finding: str
    command: str = ""


@dataclass(frozen=True)
class Place:
    """What is checked: a campaign, the file it is in, and the folder of its runs."""

    campaign: Campaign
    file: Path
    experiments: Path


def unreachable_check(answer: Answer, command: str) -> Check:
    return Check("scheduler", Level.WRONG, f"cannot be asked: {answer.words}", command)


def remarks_check(*answers: Answer) -> Iterator[Check]:
    """What stood on stderr beside good answers: no harm is done, but somebody should know where it comes from."""
    lines = dict.fromkeys(line for answer in answers for line in answer.complaints)
    if lines:
        finding = f"its commands remark beside good answers, which is overlooked: {' / '.join(lines)}"
        yield Check(
            "remarks", Level.WARNING, finding, "bash -lc true 2>&1 # a start-up file or the module that says so"
        )
