"""Everything the doctor looks at, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kd_hpc.doctor.local_checks import local_checks
from kd_hpc.doctor.scheduler_checks import scheduler_checks
from kd_hpc.schedulers.readiness import Check, Level, Place
from kd_hpc.screen.terminal import print_table


def all_checks(place: Place) -> list[Check]:
    return [*scheduler_checks(place), *local_checks(place)]


def show_checks(checks: Sequence[Check], *, table: bool = True) -> None:
    """The table on stdout, unless something else stands there; how many are wrong on stderr."""
    if table:
        rows = [(check.level.value, check.name, check.finding, check.command) for check in checks]
        print_table(("", "check", "finding", "type next"), rows, typed=["type next"])
    wrong = sum(map(is_wrong, checks))
    print(f"{wrong or 'none'} of {len(checks)} checks wrong.", file=sys.stderr)


def is_wrong(check: Check) -> bool:
    return check.level == Level.WRONG
