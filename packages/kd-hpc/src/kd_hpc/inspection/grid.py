"""The grid of a campaign: a line a method, a column a data set, in each cell its runs by strength and seed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kd_hpc.catalogue import DATASETS, METHODS, PURE
from kd_hpc.inspection.rows import UNREADABLE, Row
from kd_hpc.records import State
from kd_hpc.variant import arm


class Mark(StrEnum):
    """How far a run is, as one of seven marks; the values are names for people."""

    COMPLETED = "completed"
    RUNNING = "in_progress"
    QUEUED = "queued"
    TO_COME = "to come"
    HELD_UP = "held up"
    """It cannot start before a person does something about another run."""
    FAILED = "failed"
    DOUBTFUL = "suspect"
    """Suspect or unreadable: a person must look."""


_OF_STATE = {
    State.COMPLETED.value: Mark.COMPLETED,
    State.IN_PROGRESS.value: Mark.RUNNING,
    State.QUEUED.value: Mark.QUEUED,
    State.SUBMITTING.value: Mark.QUEUED,
    State.FAILED.value: Mark.FAILED,
    State.SUSPECT.value: Mark.DOUBTFUL,
    UNREADABLE: Mark.DOUBTFUL,
}


def mark_of(row: Row) -> Mark:
    """The mark of a run: that of its state, unless it waits for a person."""
    return _OF_STATE.get(row.state) or (Mark.HELD_UP if row.needs_person else Mark.TO_COME)


@dataclass(frozen=True)
class Line:
    """`cells`: for each data set of the grid, the runs by strength, and of each strength those of all seeds."""

    name: str
    cells: tuple[tuple[tuple[Row, ...], ...], ...]


@dataclass(frozen=True)
class Grid:
    datasets: tuple[str, ...]
    lines: tuple[Line, ...]


def make_grid(rows: Iterable[Row]) -> Grid:
    """The grid of all `rows`: models trained alone, teachers first, then methods in the catalogue's order."""
    rows = [row for row in rows if row.fields]
    datasets = sorted({row.fields["dataset"] for row in rows}, key=lambda name: _place(name, list(DATASETS)))
    names = _line_names(rows)
    by_line: dict[str, list[Row]] = defaultdict(list)
    for row, name in zip(rows, names, strict=True):
        by_line[name].append(row)
    teachers = {row.fields["teacher"] for row in rows}
    order = sorted(by_line, key=lambda name: _importance(by_line[name][0].fields, name, teachers))
    lines = tuple(Line(name, tuple(_cell(by_line[name], dataset) for dataset in datasets)) for name in order)
    return Grid(tuple(datasets), lines)


def _cell(rows: Sequence[Row], dataset: str) -> tuple[tuple[Row, ...], ...]:
    strengths: dict[float, list[Row]] = defaultdict(list)
    for row in rows:
        if row.fields["dataset"] == dataset:
            strengths[_strength(row)].append(row)
    return tuple(tuple(sorted(strengths[alpha], key=lambda row: row.fields["seed"])) for alpha in sorted(strengths))


def _strength(row: Row) -> float:
    """Alpha; in the layout of earlier rounds the record knows it, if anything does."""
    alpha = row.fields["alpha"]
    recorded = row.known.config.get("alpha") if alpha is None else alpha
    return float(recorded) if isinstance(recorded, int | float) else -1.0


def _line_names(rows: Sequence[Row]) -> list[str]:
    """What distinguishes a row's line from all others: a model, or a method, with its pair where there are several."""
    pairs = {(row.fields["teacher"], row.fields["student"]) for row in rows if row.fields["teacher"]}
    return [_line_name(row.fields, several_pairs=len(pairs) > 1) for row in rows]


def _line_name(fields: dict[str, Any], *, several_pairs: bool) -> str:
    name = arm(fields["method"], fields["variant"])
    if fields["method"] == PURE:
        return f"{fields['student']} {name}"
    return f"{name} {fields['teacher']}_to_{fields['student']}" if several_pairs else name


def _importance(fields: dict[str, Any], name: str, teachers: set[str | None]) -> tuple[object, ...]:
    is_pure = fields["method"] == PURE
    return (not is_pure, is_pure and fields["student"] not in teachers, _place(fields["method"], list(METHODS)), name)


def _place(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name), "") if name in known else (len(known), name)
