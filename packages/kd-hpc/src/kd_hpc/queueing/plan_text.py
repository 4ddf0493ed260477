"""A plan as a few lines: runs that get the same answer for the same reason stand together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from kd_hpc.planning.decision import Action, Decision
from kd_hpc.terminal import paragraph

_RUN = re.compile(r"[A-Za-z0-9][\w.+-]*(/[\w.+-]+){2,}")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_WIDTH = 12
_FEW = 3
"""So many runs of a group are named."""


def grouped(decisions: Sequence[Decision]) -> Iterator[str]:
    """Lines about every decision; what is completed is only counted."""
    groups: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[decision.action.value, _kind(decision.reason)].append(decision)
    for same in groups.values():
        yield from _group(same)


def _kind(reason: str) -> str:
    """What reasons have in common that differ in runs and numbers only."""
    return _NUMBER.sub("0", _RUN.sub("…", reason))


def _group(same: Sequence[Decision]) -> Iterator[str]:
    action = same[0].action.value
    if same[0].action == Action.DONE and same[0].reason == "completed":
        yield f"{action:<{_WIDTH}}{len(same)} completed"
        return
    if len(same) == 1:
        yield f"{action:<{_WIDTH}}{same[0].experiment.label}"
        yield paragraph(same[0].reason, " " * _WIDTH)
        return
    reasons = {decision.reason for decision in same}
    said = same[0].reason if len(reasons) == 1 else _RUN.sub("…", same[0].reason)
    yield paragraph(f"{len(same)}: {said}", f"{action:<{_WIDTH}}")
    for decision in same[:_FEW]:
        yield " " * _WIDTH + decision.experiment.label
    if len(same) > _FEW:
        yield " " * _WIDTH + f"and {len(same) - _FEW} more"
