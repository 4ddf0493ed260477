"""What kd-hpc why prints: one run's chain of evidence, or several runs by reason; a screen at most."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kd_hpc.inspection.overview import kind_of_stop
from kd_hpc.inspection.rows import Row
from kd_hpc.inspection.why import TYPED, Link
from kd_hpc.remedies import with_folder
from kd_hpc.screen.terminal import paragraph, rows_of

_MOST_LINES = 3
_MOST_RUNS = 4
_ATTEMPT = re.compile(r"attempt \d+")


def chain_lines(links: Sequence[Link], columns: int, room: int | None) -> list[str]:
    """The chain, one kind of evidence after the other; with `room`, in so many lines of the terminal at most."""
    lines = _rendered(links, columns, None)
    if room is None or _height(lines, columns) <= room:
        return lines
    hint = "Everything: the same command with --all"
    lines = _rendered(links, columns, _MOST_LINES)
    kept = list(links)
    while _height(lines, columns) > room - 1 and (place := _middle_attempt(kept)):
        del kept[place]
        lines = _rendered(_with_gap(kept, links), columns, _MOST_LINES)
    while _height(lines, columns) > room - 1:
        lines.pop()
    return [*lines, hint]


def group_lines(rows: Sequence[Row], root: Path, columns: int, room: int | None) -> list[str]:
    """Several runs below `root`, those of one state and reason together, and what to type about them."""
    lines: list[str] = []
    groups = list(_groups(rows))
    for shown, same in enumerate(groups):
        more = list(_group(same, root, columns, everything=room is None))
        if room is not None and shown and _height([*lines, *more], columns) > room - 1:
            return [*lines, f"and {len(groups) - shown} more reasons: the same command with --all"]
        lines += more
    return lines


def groups_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "state": same[0].state,
            "reason": same[0].reason,
            "remedy": same[0].remedy,
            "runs": [row.label for row in same],
        }
        for same in _groups(rows)
    ]


def _rendered(links: Iterable[Link], columns: int, most: int | None) -> list[str]:
    links = list(links)
    width = max(len(link.kind) for link in links)
    lines: list[str] = []
    for link in links:
        begin = f"{link.kind:<{width}}  "
        if link.kind in (*TYPED, "run"):
            lines.append(begin + link.says)
            continue
        wrapped = paragraph(link.says, begin, room=columns).splitlines() or [begin.rstrip()]
        cut = most is not None and len(wrapped) > most
        lines += [*wrapped[:most], *([" " * (width + 2) + "…"] if cut else [])]
    return lines


def _middle_attempt(links: Sequence[Link]) -> int:
    """The place of the earliest attempt that is neither the first nor the last; 0 if there is none."""
    places = [place for place, link in enumerate(links) if _ATTEMPT.fullmatch(link.kind)]
    return places[1] if len(places) > 2 else 0


def _with_gap(kept: Sequence[Link], links: Sequence[Link]) -> list[Link]:
    hidden = len(links) - len(kept)
    place = next(place for place, link in enumerate(kept) if _ATTEMPT.fullmatch(link.kind)) + 1
    return [*kept[:place], Link("", f"({hidden} attempts more)"), *kept[place:]]


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows that stand where they stand for one reason, the largest group first."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[kind_of_stop(row)].append(row)
    yield from sorted(groups.values(), key=len, reverse=True)


def _group(same: Sequence[Row], root: Path, columns: int, *, everything: bool) -> Iterator[str]:
    reason = f": {same[0].reason}" if same[0].reason else ""
    yield paragraph(f"{len(same)} {same[0].state}{reason}", room=columns)
    shown = same if everything else same[:_MOST_RUNS]
    width = max(len(row.label) for row in shown)
    for row in shown:
        yield f"  {row.label:<{width}}  {row.epochs}".rstrip()
    if len(same) > len(shown):
        yield f"  and {len(same) - len(shown)} more"
    if same[0].remedy:
        yield f"  next: {with_folder(same[0].remedy, root)}"


def _height(lines: Iterable[str], columns: int) -> int:
    return sum(rows_of(one, columns) for line in lines for one in line.splitlines() or [""])
