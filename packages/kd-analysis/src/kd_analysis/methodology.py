"""What a methodology chapter may say of a round, from its records and its campaign file: nothing else is claimed."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from kd_analysis.chapter import Chapter, Fact, Grid, Part
from kd_analysis.collect import Tree, wall_seconds
from kd_analysis.runs import Run
from kd_hpc.campaign import Campaign
from kd_hpc.records import Attempt, StatusRecord

PLAN = "campaign file"
SOURCE_MARK = "; source: "
NO_SOURCE = "campaign file, which names no source: to be checked by the author"
_IDENTITY = ("experiment_name", "model", "dataset", "seed", "distillation", "teacher_model", "teacher_weights", "alpha")


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
    jobs = [attempt for attempt in attempts if attempt.job_id]
    yield _counted("scheduler", (attempt.scheduler for attempt in jobs), "jobs")
    yield _counted("GPU", (_provenance(record, "gpu") for record in records), "runs")
    yield _counted("device", (_provenance(record, "device") for record in records), "runs")
    hosts = {attempt.host for attempt in attempts if attempt.host}
    yield Fact("machines", str(len(hosts)), f"{_number(attempts, 'host')} attempts") if hosts else Fact("machines")
    yield _counted("walltime asked for", (attempt.walltime for attempt in jobs), "jobs")
    yield _counted("memory asked for", (attempt.memory for attempt in jobs), "jobs")
    waits = [wait for attempt in jobs if (wait := _wait(attempt)) is not None]
    if waits:
        value = f"mean {fmean(waits):.2f}, longest {max(waits):.2f}"
        yield Fact("hours from submission to start", value, f"{len(waits)} jobs")
    most = _at_once(attempts)
    yield (
        Fact("most at work at once", str(most), "attempts whose start and end are on record")
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
    names = dict.fromkeys(name for found in settings for name in found if name not in _IDENTITY)
    for name in names:
        yield _counted(name.replace("_", " "), (_shown(found[name]) for found in settings if name in found), "runs")
    if not names:
        yield Fact("recipe")


def _times(runs: Iterable[Run]) -> Grid:
    """Seconds an epoch and hours a run, for each data set, method and pair of models; completed runs alone."""
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.record and run.record.is_done:
            identity = run.identity
            models = f"{identity.teacher}–{identity.student}" if identity.teacher else identity.student
            groups[identity.dataset, identity.method, models].append(run)
    rows = tuple((*kind, *_time_cells(found)) for kind, found in sorted(groups.items()))
    note = (
        "Wall time of completed runs, mean (least–most) over n runs that recorded it: training and evaluation alone; "
        "with *, the whole job, where only that was printed."
    )
    return Grid(note, ("data set", "method", "models", "n", "seconds an epoch", "hours a run"), rows)


def _time_cells(runs: Sequence[Run]) -> tuple[str, str, str]:
    timed = [run for run in runs if math.isfinite(wall_seconds(run))]
    if not timed:
        return ("0", "not on record", "not on record")
    whole_jobs = sum(not run.curves.seconds for run in timed)
    n = f"{len(timed)}" + (f" ({whole_jobs}*)" if 0 < whole_jobs < len(timed) else "*" if whole_jobs else "")
    paces = _spread([wall_seconds(run) / run.epochs for run in timed], 1)
    return (n, paces, _spread([wall_seconds(run) / 3600 for run in timed], 2))


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
    of = f"{len(attempts)} attempts of {sum(bool(record.attempts) for record in records)} runs"
    yield Fact("runs that needed more than one attempt", str(len(again)), of)
    yield Fact("attempts that continued from a checkpoint", str(len(resumed)), of)
    causes = Counter(attempt.cause for attempt in attempts if attempt.cause)
    ends = ", ".join(f"{count} {cause}" for cause, count in sorted(causes.items())) or "none on record"
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


def _wait(attempt: Attempt) -> float | None:
    if not attempt.submitted_at or not attempt.started_at:
        return None
    return (attempt.started_at - attempt.submitted_at).total_seconds() / 3600


def _at_once(attempts: Iterable[Attempt]) -> int:
    """The most attempts whose recorded times overlap."""
    edges = [
        edge
        for attempt in attempts
        if attempt.started_at and attempt.ended_at and attempt.started_at < attempt.ended_at
        for edge in ((attempt.started_at, 1), (attempt.ended_at, -1))
    ]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most
