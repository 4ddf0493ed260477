"""What a methodology chapter may say of a round, from its records and its campaign file: nothing else is claimed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from kd_analysis.methodology.chapter import Chapter, Fact, FactTable, Part
from kd_analysis.methodology.practice import HEADER, PRACTICE
from kd_analysis.reading.durations import SHARED, device_seconds, show_students, students_a_job, wall_seconds
from kd_analysis.reading.jobs import in_jobs, jobs_of
from kd_analysis.reading.runs_table import Tree
from kd_hpc.campaign import Campaign
from kd_hpc.recipe import Recipe
from kd_hpc.records import NOT_SETTINGS, Attempt, StatusRecord, most_at_once
from kd_hpc.triage.run_directory import Run

PLAN = "campaign file"
SOURCE_MARK = "; source: "
NO_SOURCE = "campaign file, which names no source: to be checked by the author"


def methodology(tree: Tree, campaign: Campaign | None = None) -> Chapter:
    """The chapter's facts; each value carries how many runs or attempts show it, or the file that plans it."""
    runs = [item.run for item in tree.runs]
    records = [run.record for run in runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    remark = (
        f"From {len(records)} records of {len(runs)} runs"
        + (f", {len(tree.expected)} planned." if tree.expected else ".")
        + " Brackets say what a statement stands on. What no record and no campaign file shows is not claimed. "
        "Hardware and versions are those of each run's latest start."
    )
    parts = (
        Part("Site", tuple(_site(campaign))),
        Part("Jobs as planned", tuple(_planned(campaign))),
        Part("Jobs as they ran", tuple(_ran(records, attempts))),
        Part("Training", tuple(_training(runs, records))),
        *_practice(records),
        Part("Training time", grid=_times(runs)),
        Part("Checkpoints and resubmissions", tuple(_resumption(records, attempts))),
        Part("Determinism", tuple(_determinism(records))),
        Part("Software", tuple(_software(records))),
        Part("Dates", tuple(_dates(attempts))),
    )
    return Chapter(f"Methodology of {campaign.name}" if campaign else "Methodology", remark, parts)


def _site(campaign: Campaign | None) -> Iterator[Fact]:
    """What the site says of itself, as `facts` in the campaign file quotes it."""
    if campaign is None or not campaign.facts:
        yield Fact("cluster")
    for name, text in (campaign.facts if campaign else {}).items():
        value, mark, source = text.partition(SOURCE_MARK)
        yield Fact(name.replace("_", " "), value, source if mark else NO_SOURCE)


def _planned(campaign: Campaign | None) -> Iterator[Fact]:
    if campaign is None:
        yield Fact("what jobs asked for")
        return
    asked = campaign.resources
    yield Fact("scheduler", f"{campaign.scheduler.kind}, at most {campaign.scheduler.slots} jobs at once", PLAN)
    gpus = f"{asked.gpus} {asked.gpu_type or 'of unnamed type'}" if asked.gpus else "none"
    for name, value in (
        ("students a job, at most", str(campaign.students_per_job)),
        ("queue", asked.queue),
        ("GPUs a job", gpus),
        ("walltime", asked.walltime),
        ("memory", asked.memory),
        ("cores", str(asked.cores)),
        ("modules", ", ".join(asked.modules)),
    ):
        if value:
            yield Fact(name, value, PLAN)


def _ran(records: Sequence[StatusRecord], attempts: Sequence[Attempt]) -> Iterator[Fact]:
    every = jobs_of(attempts)
    jobs = [job for job in every if job.is_submitted]
    yield _counted("scheduler", (job.scheduler for job in jobs), "jobs")
    yield _counted("students a job", (str(job.students) for job in jobs), "jobs")
    yield _counted("GPU", (_provenance(record, "gpu") for record in records), "runs")
    yield _counted("device", (_provenance(record, "device") for record in records), "runs")
    hosts = {attempt.host for attempt in attempts if attempt.host}
    yield Fact("machines", str(len(hosts)), f"{_number(attempts, 'host')} attempts") if hosts else Fact("machines")
    yield _counted("walltime asked for", (job.walltime for job in jobs), "jobs")
    yield _counted("memory asked for", (job.memory for job in jobs), "jobs")
    waits = [job.wait for job in jobs if job.wait is not None]
    if waits:
        value = f"mean {fmean(waits):.2f}, longest {max(waits):.2f}"
        yield Fact("hours from submission to start", value, f"{len(waits)} jobs")
    most = most_at_once(span for job in every for span in job.spans)
    yield (
        Fact("most at work at once", str(most), "jobs and starts by hand whose start and end are on record")
        if most
        else Fact("most at work at once")
    )


def _training(runs: Sequence[Run], records: Sequence[StatusRecord]) -> Iterator[Fact]:
    for name, values in (
        ("data sets", (run.identity.dataset for run in runs)),
        ("methods", (run.identity.method for run in runs)),
        ("seeds", (str(run.identity.seed) for run in runs)),
    ):
        yield _counted(name, values, "runs")
    settings = [record.recipe or record.config for record in records if record.recipe or record.config]
    names = dict.fromkeys(name for found in settings for name in found if name not in NOT_SETTINGS)
    for name in names:
        yield _counted(name.replace("_", " "), (_shown(found[name]) for found in settings if name in found), "runs")
    if not names:
        yield Fact("recipe")


def _practice(records: Sequence[StatusRecord]) -> Iterator[Part]:
    """The recipe beside other practice, for runs that kd-core trained with one."""
    recipes = [Recipe.recorded(record.recipe) for record in records if record.recipe]
    note = f"kd's own recipe beside others; where any of {len(recipes)} runs recorded another value, it follows."
    for title, rows in PRACTICE.items() if recipes else ():
        cells = tuple(row._replace(ours=row.ours + _others(row.fields, recipes)).cells for row in rows)
        yield Part(f"Recipe: {title.lower()}", grid=FactTable(note, HEADER, cells))


def _others(fields: Iterable[str], recipes: Sequence[Recipe]) -> str:
    """Which other values than the default the recipes have of these fields, each with its count."""
    usual = Recipe().model_dump(mode="json")
    recorded = [recipe.model_dump(mode="json", warnings=False) for recipe in recipes]
    values = Counter(
        (field, _shown(values[field])) for values in recorded for field in fields if values[field] != usual[field]
    )
    told = ", ".join(f"{field} {value} ({count})" for (field, value), count in sorted(values.items()))
    return f"; here {told}" if told else ""


def _times(runs: Iterable[Run]) -> FactTable:
    """Seconds an epoch and hours a run, for each data set, method and pair of models; completed runs alone.

    Where any shared a job, a row for each number of students a job, which stands in a column of its own.
    """
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.record and run.record.is_done:
            identity = run.identity
            models = f"{identity.teacher}–{identity.student}" if identity.teacher else identity.student
            groups[identity.dataset, identity.method, models].append(run)
    rows = [(*kind, *cells) for kind, found in sorted(groups.items()) for cells in _time_cells(found)]
    header = ("data set", "method", "models", "k", "n", "seconds an epoch", "hours a run")
    note = (
        "Wall time of completed runs, mean (least–most) over n runs that recorded it: training and evaluation alone; "
        "with *, the whole job, where only that was printed."
    )
    if any(k not in ("", "1") for _, _, _, k, *_ in rows):
        return FactTable(f"{note} {SHARED}", header, tuple(rows))
    return FactTable(note, _without_k(header), tuple(map(_without_k, rows)))


def _without_k(row: tuple[str, ...]) -> tuple[str, ...]:
    return row[:3] + row[4:]


def _time_cells(runs: Iterable[Run]) -> Iterator[tuple[str, str, str, str]]:
    """Students a job, n, seconds an epoch and hours a run, once for each number of students."""
    timed: dict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in runs:
        if students := students_a_job(run):
            timed[students].append(run)
    for students, found in sorted(timed.items()):
        whole_jobs = sum(not run.curves.seconds for run in found)
        n = f"{len(found)}" + (f" ({whole_jobs}*)" if 0 < whole_jobs < len(found) else "*" if whole_jobs else "")
        paces = _spread([wall_seconds(run) / run.epochs for run in found], 1)
        yield (show_students(students), n, paces, _spread([device_seconds(run) / 3600 for run in found], 2))
    if not timed:
        yield ("", "0", "not on record", "not on record")


def _spread(values: Sequence[float], digits: int) -> str:
    low, mean, high = (f"{value:.{digits}f}" for value in (min(values), fmean(values), max(values)))
    return mean if len(values) == 1 else f"{mean} ({low}–{high})"


def _resumption(records: Sequence[StatusRecord], attempts: Sequence[Attempt]) -> Iterator[Fact]:
    ours = [record for record in records if record.experiment and record.provenance.get("code_version")]
    if ours:
        yield Fact(
            "checkpoints",
            "the whole training state after every epoch, replaced atomically; a killed run continues from its last",
            f"how kd-core is built; it trained {len(ours)} runs",
        )
    else:
        yield Fact("checkpoints")
    if not attempts:
        yield Fact("attempts")
        return
    again = [record for record in records if len(record.attempts) > 1]
    resumed = [attempt for attempt in attempts if (attempt.start_epoch or 0) > 0]
    of = f"{len(attempts)} attempts of {sum(bool(record.attempts) for record in records)} runs{in_jobs(attempts)}"
    yield Fact("runs that needed more than one attempt", str(len(again)), of)
    yield Fact("attempts that continued from a checkpoint", str(len(resumed)), of)
    by_cause: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.cause:
            by_cause[attempt.cause].append(attempt)
    counted = (f"{len(found)} {cause}{in_jobs(found)}" for cause, found in sorted(by_cause.items()))
    ends = ", ".join(counted) or "none on record"
    yield Fact("attempts that ended early, by cause", ends, of)


def _determinism(records: Sequence[StatusRecord]) -> Iterator[Fact]:
    said = {True: "on", False: "off", None: None}
    yield _counted(
        "deterministic algorithms", (said[record.provenance.get("deterministic")] for record in records), "runs"
    )
    yield _counted("number format of the forward pass", (_provenance(record, "dtype") for record in records), "runs")
    yield _counted("processor threads", (_provenance(record, "threads") for record in records), "runs")


def _software(records: Sequence[StatusRecord]) -> Iterator[Fact]:
    for name, key in (("kd-core", "code_version"), ("Python", "python"), ("torch", "torch"), ("CUDA", "cuda")):
        yield _counted(name, (_provenance(record, key) for record in records), "runs")
    yield _counted("hash of the training code", (_short(record, "code_sha256") for record in records), "runs")
    yield _counted("hash of the data", (_short(record, "data_sha256") for record in records), "runs")


def _dates(attempts: Sequence[Attempt]) -> Iterator[Fact]:
    for name, choose, of in (
        ("first job submitted", min, "submitted_at"),
        ("first training started", min, "started_at"),
        ("last training ended", max, "ended_at"),
    ):
        yield _date(name, choose, [getattr(attempt, of) for attempt in attempts])


def _date(name: str, choose: Callable[[list[datetime]], datetime], moments: Iterable[datetime | None]) -> Fact:
    known = [moment for moment in moments if moment]
    return Fact(name, f"{choose(known):%Y-%m-%d}", f"{len(known)} attempts") if known else Fact(name)


def _counted(name: str, values: Iterable[str | None], of: str) -> Fact:
    """The values there are; where they differ, each with its count; how many say nothing."""
    found = Counter(values)
    silent = found.pop(None, 0)
    if not found:
        return Fact(name)
    several = len(found) > 1
    value = ", ".join(
        f"{value} ({count})" if several else str(value) for value, count in sorted(found.items(), key=str)
    )
    return Fact(name, value, f"{sum(found.values())} {of}" + (f"; {silent} do not say" if silent else ""))


def _provenance(record: StatusRecord, key: str) -> str | None:
    value = record.provenance.get(key)
    return None if value is None else _shown(value)


def _short(record: StatusRecord, key: str) -> str | None:
    value = _provenance(record, key)
    return value and value[:12]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(attempts: Iterable[Attempt], field: str) -> int:
    return sum(bool(getattr(attempt, field)) for attempt in attempts)
