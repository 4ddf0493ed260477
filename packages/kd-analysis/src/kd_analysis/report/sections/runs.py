"""Sections on the runs themselves: what there is, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kd_analysis.analysis import Analysis
from kd_analysis.reading.durations import SHARED
from kd_analysis.reading.run_columns import RUN_COLUMNS
from kd_analysis.reading.runs_table import plain_rows
from kd_analysis.report.document import Block, Column, Section, Text, table
from kd_analysis.report.sections.geometry_tables import undefined
from kd_analysis.representations.quantities import label
from kd_hpc.triage.verdict import Verdict

MOST_NAMED = 3


def triage_section(analysis: Analysis) -> Section:
    """Every run with something against it, its evidence, and what the flagged ones would have changed."""
    rows = [
        (item.run.path, item.run.state, str(item.verdict), item.evidence, " ".join(f.code for f in item.findings))
        for item in sorted(analysis.tree.runs, key=lambda item: (-list(Verdict).index(item.verdict), item.run.path))
        if item.verdict != Verdict.OK
    ]
    columns: list[Column | str] = ["run", "state", "verdict", "evidence", "findings"]
    intro = (
        "Each run is judged before any number is computed. Nothing is dropped silently: what is not counted is "
        "named here."
    )
    blocks: list[Block] = [Text(intro)]
    if rows:
        blocks.append(table("triage", f"{len(rows)} of {len(analysis.tree.runs)} runs with findings", columns, rows))
    else:
        blocks.append(Text(f"Nothing speaks against any of the {len(analysis.tree.runs)} runs."))
    blocks += [Text(note, "limits") for note in _undefined(analysis)]
    changed = list(_changed_by_flagged(analysis))
    if changed:
        names: list[Column | str] = [
            "cell",
            "n counted",
            Column("mean (%)", 2),
            "n with flagged",
            Column("mean with flagged (%)", 2),
        ]
        blocks.append(table("with_and_without_flagged", "What the flagged runs would change", names, changed))
    return Section("triage", "Triage: which runs can be trusted", tuple(blocks))


def _undefined(analysis: Analysis) -> Iterator[str]:
    """Numbers of the geometry that some networks do not have."""
    paths = {identity: item.run.path for identity, item in analysis.tree.by_identity.items()}
    told = []
    for (name, layer), identities in undefined(analysis.values).items():
        runs = ", ".join(paths[identity] for identity in identities[:MOST_NAMED])
        more = f" and {len(identities) - MOST_NAMED} more" if len(identities) > MOST_NAMED else ""
        told.append(f"{label(name)}{f' of {layer}' if layer else ''} ({runs}{more})")
    if told:
        yield f"Undefined for some networks, which are missing from its means, not 0: {'; '.join(told)}."


def _changed_by_flagged(analysis: Analysis) -> Iterator[tuple[str, int, float, int, float]]:
    for cell, other in zip(analysis.last.cells, analysis.flagged_too.cells, strict=True):
        if cell.n != other.n:
            yield (cell.name, cell.n, cell.interval.estimate, other.n, other.interval.estimate)
    for key, values in analysis.last.pure.items():
        others = analysis.flagged_too.pure[key]
        if len(values) != len(others):
            means = [sum(v.values()) / len(v) if v else float("nan") for v in (values, others)]
            yield (f"{key[0]}, pure, {key[1]}", len(values), means[0], len(others), means[1])


def runs_section(analysis: Analysis) -> Section:
    """The tidy table itself, one row a run."""
    rows = plain_rows(analysis.tree)
    caption = f"One row a run; seconds are of the clock. {SHARED}"
    full = table("runs", caption, [Column(column.name, column.digits) for column in RUN_COLUMNS], rows)
    kept = [place for place, column in enumerate(RUN_COLUMNS) if column.short]
    short = table(
        "runs_short",
        "Every run (all columns: tables/runs.csv)",
        [Column(RUN_COLUMNS[place].short, RUN_COLUMNS[place].digits) for place in kept],
        [[row[place] for place in kept] for row in rows],
    )
    return Section("runs", "All runs", (replace(full, csv_only=True), short))
