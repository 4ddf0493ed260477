"""Sections on the runs themselves: what there is, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from kd_analysis.analysis import Analysis
from kd_analysis.reading.durations import SHARED
from kd_analysis.reading.run_columns import RUN_COLUMNS
from kd_analysis.reading.runs_table import frame
from kd_analysis.report.document import Block, Bullets, Column, Section, Text, table
from kd_hpc.triage.verdict import Verdict

MEANINGS = {
    Verdict.OK: "finished, nothing against them",
    Verdict.NOTED: "finished, with a remark; counted",
    Verdict.UNFINISHED: "not finished; not counted",
    Verdict.FAILED: "crashed or given up; not counted",
    Verdict.FLAGGED: "quarantined: shown, never counted",
}


def summary(analysis: Analysis) -> Section:
    """What there is and what may be concluded, in a few lines."""
    tree = analysis.tree
    usable = tree.counted
    blocks: list[Block] = [
        Text(f"{usable} of {tree.planned} runs are finished, sound and counted here. {_origin(analysis)}")
    ]
    counts = Counter(item.verdict for item in tree.runs)
    blocks.append(Bullets(tuple(f"{counts[v]} {v}: {text}" for v, text in MEANINGS.items() if counts[v])))
    if not tree.runs:
        blocks.append(Text("There are no runs in this folder yet: every section below is empty.", "warning"))
    blocks += (Text(banner, "warning") for banner in banners(analysis))
    if tested := [t for t in analysis.ledger if t.conclusion != "inconclusive"]:
        lines = [
            f"{t.method}, {t.family}: {t.conclusion} (effect {t.effect.estimate:+.2f} {t.unit}, adjusted p = "
            f"{t.adjusted_p:.3g}, "
            f"{t.result.n} blocks)"
            for t in tested
        ]
        blocks.append(Bullets(tuple(lines)))
    elif tree.runs:
        text = (
            "None of the pre-declared tests reaches a conclusion: the data so far are too few to say, not evidence of"
        )
        blocks.append(Text(f"{text} no effect."))
    return Section("summary", "Summary", tuple(blocks))


def _origin(analysis: Analysis) -> str:
    if analysis.campaign is None:
        return "No campaign file was named, so the grid is what this folder holds."
    missing = sum(identity not in analysis.tree.by_identity for identity in analysis.tree.expected)
    others = f" {analysis.tree.unplanned} runs outside its plan are here too." if analysis.tree.unplanned else ""
    return (
        f"The campaign {analysis.campaign.name} plans {analysis.tree.planned} runs; {missing} have no folder "
        f"yet.{others}"
    )


def banners(analysis: Analysis) -> Iterator[str]:
    """What a reader must know before any number: flagged runs, teachers worse than their students, unreadable
    folders."""
    flagged = [item.run.path for item in analysis.tree.runs if item.verdict == Verdict.FLAGGED]
    if flagged:
        yield f"{len(flagged)} runs are quarantined and enter no statistic: {', '.join(flagged[:6])}" + (
            ", ... (see Triage)." if len(flagged) > 6 else "."
        )
    for setting in analysis.last.settings:
        teacher, student = analysis.last.teacher(setting), analysis.last.baseline(setting)
        worse = [seed for seed in sorted(set(teacher) & set(student)) if teacher[seed] < student[seed]]
        if worse and setting.teacher != setting.student:
            pairs = "; ".join(f"seed {seed}: {teacher[seed]:.2f} % against {student[seed]:.2f} %" for seed in worse)
            yield (
                f"{setting.dataset}: the teacher {setting.teacher} is worse than the pure student "
                f"{setting.student} ({pairs})."
            )
    if analysis.tree.strays:
        places = "; ".join(f"{stray.path} {stray.reason}" for stray in analysis.tree.strays)
        yield f"Not read, and in no count below: {places}."


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
    data = frame(analysis.tree)
    rows = data.astype(object).where(data.notna(), None).to_numpy().tolist()
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
