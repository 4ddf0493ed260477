"""A plan as a few lines: runs that get the same answer for the same reason stand together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from kd_hpc.planning.decision import Action, Decision
from kd_hpc.remedies import with_folder
from kd_hpc.screen.terminal import paragraph

_RUN = re.compile(r"[A-Za-z0-9][\w.+-]*(/[\w.+-]+){2,}")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_WIDTH = 12
_FEW = 3
"""So many runs of a group are named."""
_MOST_NEEDS = 8
"""So many reasons are told."""


def grouped(decisions: Sequence[Decision]) -> Iterator[str]:
    """Lines about every decision; what is completed is only counted."""
    groups: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[decision.action.value, _kind(decision.reason)].append(decision)
    for same in groups.values():
        yield from _group(same)


def needs_lines(needs: Sequence[Sequence[Decision]], root: Path, columns: int) -> Iterator[str]:
    """What waits for a person and what to type; `needs` are decisions with one cause each, as of a plan's `needs`."""
    groups: dict[tuple[str, str], list[Sequence[Decision]]] = defaultdict(list)
    for same in needs:
        groups[_kind(same[0].reason), _kind(same[0].remedy)].append(same)
    for causes in [*groups.values()][:_MOST_NEEDS]:
        yield from _need(causes, root, columns)
    if rest := sum(len(same) for causes in [*groups.values()][_MOST_NEEDS:] for same in causes):
        yield with_folder(f"... and {rest} more: kd-hpc status --all", root)


def _need(causes: Sequence[Sequence[Decision]], root: Path, columns: int) -> Iterator[str]:
    first, others = causes[0][0], sum(map(len, causes)) - 1
    more = f" and {others} more" if others else ""
    yield paragraph(f"{first.experiment.label}{more}: {first.reason}", room=columns)
    before, name, command = with_folder(first.remedy, root).rpartition("kd-hpc ")
    whole = f"    {before}{name}{command}"
    if before.strip() and len(whole) > columns:
        yield paragraph(before.strip(), "    ", room=columns)
        yield f"    {name}{command}"
    elif first.remedy:
        yield whole
    if len(causes) > 1:
        yield with_folder(f"    Likewise {len(causes) - 1} others; one command for all of them: kd-hpc status", root)


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
