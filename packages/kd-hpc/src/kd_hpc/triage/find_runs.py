"""Where runs lie below a folder, and every other place in it where one might be meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kd_hpc.experiment import parse_path
from kd_hpc.screen.escapes import printable
from kd_hpc.store import METRICS, REPRESENTATIONS, STATUS

CONTENT = frozenset([STATUS, METRICS, REPRESENTATIONS, "checkpoint.pth", "best.pth", "last.pth"])


@dataclass(frozen=True, order=True)
class Stray:
    """A place that was not read as a run, and why."""

    path: str
    reason: str


def find_runs(root: Path) -> tuple[list[PurePosixPath], list[Stray]]:
    """Run directories and strays below the folder `root`, both sorted, links followed. Never raises for what it meets.

    The store's own walk stops at a folder it may not read, as a scheduler must; a report goes on and says so.
    """
    found = list(_walk(root, PurePosixPath()))
    runs = [place for place in found if isinstance(place, PurePosixPath)]
    return sorted(runs), sorted(place for place in found if isinstance(place, Stray))


def _walk(root: Path, relative: PurePosixPath) -> Iterator[PurePosixPath | Stray]:
    try:
        with os.scandir(root / relative) as listing:
            entries = list(listing)
    except OSError as error:
        yield Stray(printable(relative), f"cannot be looked into: {error.strerror}")
        return
    if not CONTENT.isdisjoint(entry.name for entry in entries):
        yield Stray(printable(relative), "holds run files, but its path is no run's")
    for entry in entries:
        child = relative / entry.name
        is_run = parse_path(child) is not None and not any(part.startswith(".") for part in child.parts)
        if entry.is_symlink() and (reason := _bad_link(root / child)):
            yield Stray(printable(child), reason)
        elif entry.is_dir():
            yield from (child,) if is_run else _walk(root, child)


def _bad_link(link: Path) -> str:
    """Why a link cannot be followed; empty if it can."""
    target = printable(str(link.readlink()))
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):  # until Python 3.13 a loop of links raises RuntimeError
        return f"is a link to {target}, which is not there"
    return f"is a link to {target}, which holds it" if link.parent.resolve().is_relative_to(real) else ""
