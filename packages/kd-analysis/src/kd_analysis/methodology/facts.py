"""What a methodology chapter may say of a round, from records, logs and the campaign file: nothing else is claimed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from kd_analysis.accuracy.names import show_method
from kd_analysis.methodology.chapter import Chapter, Fact, FactTable, Part
from kd_analysis.methodology.prose import design, evaluation, execution, training
from kd_analysis.methodology.recipe_parts import recipe_parts
from kd_analysis.reading.durations import SHARED, device_seconds, show_students, students_a_job, wall_seconds
from kd_analysis.reading.history import LOG, RECORD, EarlyEnd, History, history_of
from kd_analysis.reading.jobs import in_jobs, jobs_of, of_jobs
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.settings import kind_of, settings_of
from kd_hpc.campaign import Campaign
from kd_hpc.records import Attempt, StatusRecord, most_at_once
from kd_hpc.triage.run_directory import Run
from kd_hpc.variant import format_alpha

PLAN = "campaign file"
SOURCE_MARK = "; source: "
NO_SOURCE = "campaign file, which names no source: to be checked by the author"


def methodology(tree: Tree, campaign: Campaign | None = None) -> Chapter:
    """The chapter's facts; each value carries how many runs or attempts show it, or the file that plans it."""
    runs = [item.run for item in tree.runs]
    records = [run.record for run in runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    histories = {run.path: history_of(run) for run in runs}
    remark = (
        f"From {len(records)} records of {len(runs)} runs"
        + (f", {len(tree.expected)} planned." if tree.expected else ".")
        + " Each value stands beside what shows it; what no record, no log and no campaign file shows is not claimed. "
        "Hardware and versions are those of each run's latest start."
    )
    parts = (
        Part("What was trained", tuple(design(tree)), tuple(_grid(runs))),
        Part("How it was trained", tuple(training(runs)), grid=_settings(runs)),
        Part("How it is evaluated", tuple(evaluation(runs, campaign))),
        Part("Site", facts=tuple(_site(campaign))),
        Part("Jobs as planned", facts=tuple(_planned(campaign))),
        Part("Jobs as they ran", tuple(execution(histories)), tuple(_ran(runs, records, attempts))),
        Part("Training time", grid=_times(runs)),
        *recipe_parts(records),
        Part("Checkpoints and resubmissions", facts=tuple(_resumption(records, histories))),
        Part("Determinism", facts=tuple(_determinism(records))),
        Part("Software", facts=tuple(_software(records))),
        Part("Dates", facts=tuple(_dates(attempts, histories))),
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


def _ran(runs: Sequence[Run], records: Sequence[StatusRecord], attempts: Sequence[Attempt]) -> Iterator[Fact]:
    every = jobs_of(attempts)
    jobs = [job for job in every if job.is_submitted]
    yield _counted("scheduler", (job.scheduler for job in jobs), "jobs")
    yield _counted("students a job", (str(job.students) for job in jobs), "jobs")
    yield _counted("GPU", map(_gpu, runs), "runs")
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


def _grid(runs: Sequence[Run]) -> Iterator[Fact]:
    for name, values in (
        ("data sets", (run.identity.dataset for run in runs)),
        ("kinds of run", (kind_of(run) for run in runs)),
        ("seeds", (str(run.identity.seed) for run in runs)),
    ):
        yield _counted(name, values, "runs")
    distilled = [run for run in runs if run.identity.teacher]
    alphas = [None if run.identity.alpha is None else format_alpha(run.identity.alpha) for run in distilled]
    yield _counted("alpha", alphas, "distilled runs") if distilled else Fact("alpha", "none", "no distilled run")


def _settings(runs: Sequence[Run]) -> FactTable:
    """Settings as recorded, each with the runs it acts on."""
    rows = tuple((each.name, each.value, str(each.runs), each.acts_on) for each in settings_of(runs))
    note = (
        "Settings on record and the runs they act on: one that a run does not know, as a temperature where no logits "
        "are softened, is not listed for it."
    )
    return FactTable(note, ("setting", "value", "runs", "acts on"), rows)


def _times(runs: Iterable[Run]) -> FactTable:
    """Seconds an epoch and hours a run, for each data set, method and pair of models; completed runs alone.

    Where any shared a job, a row for each number of students a job, which stands in a column of its own.
    """
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.record and run.record.is_done:
            identity = run.identity
            models = f"{identity.teacher}–{identity.student}" if identity.teacher else identity.student
            method = identity.method if identity.is_pure else show_method(identity.method)
            groups[identity.dataset, method, models].append(run)
    rows = [(*kind, *cells) for kind, found in sorted(groups.items()) for cells in _time_cells(found)]
    untimed = sum(not students_a_job(run) for found in groups.values() for run in found)
    header = ("data set", "method", "models", "k", "n", "seconds an epoch", "hours a run")
    note = (
        "Wall time of completed runs, mean (least–most) over n runs that recorded it: training and evaluation alone; "
        "with *, the whole job, where only that was printed."
    )
    if untimed:
        note = f"{note} Of {untimed} completed runs no time is on record."
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


def _spread(values: Sequence[float], digits: int) -> str:
    low, mean, high = (f"{value:.{digits}f}" for value in (min(values), fmean(values), max(values)))
    return mean if len(values) == 1 else f"{mean} ({low}–{high})"


def _resumption(records: Sequence[StatusRecord], histories: Mapping[str, History]) -> Iterator[Fact]:
    ours = [record for record in records if record.experiment and record.provenance.get("code_version")]
    if ours:
        yield Fact(
            "checkpoints",
            "the whole training state after every epoch, replaced atomically; a killed run continues from its last",
            f"how kd-core is built; it trained {len(ours)} runs",
        )
    else:
        yield Fact("checkpoints")
    found = [history for history in histories.values() if history.attempts]
    if not found:
        yield Fact("attempts")
        return
    attempts = [attempt for record in records for attempt in record.attempts]
    of = f"{sum(history.attempts for history in found)} attempts of {len(found)} runs{in_jobs(attempts)}"
    of = f"{of}, {shown_by(found)}"
    yield Fact("runs that needed more than one attempt", str(sum(history.attempts > 1 for history in found)), of)
    yield Fact("continued from a checkpoint", str(sum(len(history.resumed) for history in found)), of)
    by_cause: dict[str, list[EarlyEnd]] = defaultdict(list)
    for end in (end for history in found for end in history.early):
        by_cause[end.cause].append(end)
    ends = ", ".join(f"{len(each)} {cause}{_in_jobs(each)}" for cause, each in sorted(by_cause.items())) or "none"
    yield Fact("attempts that ended early, by cause", ends, of)


def _in_jobs(ends: Sequence[EarlyEnd]) -> str:
    return of_jobs(len(ends), len({end.job or place for place, end in enumerate(ends)}))


def shown_by(found: Iterable[History]) -> str:
    """Which of records and logs say it, and of how many runs."""
    sources = Counter(history.source for history in found)
    return " and ".join(f"{_number_of(sources[name], name)}" for name in (RECORD, LOG) if sources[name])


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


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


def _dates(attempts: Sequence[Attempt], histories: Mapping[str, History]) -> Iterator[Fact]:
    submitted = [attempt.submitted_at for attempt in attempts if attempt.submitted_at]
    yield _date("first job submitted", submitted, min, f"{len(submitted)} attempts")
    started = [history for history in histories.values() if history.starts]
    yield _date("first training started", [min(each.starts) for each in started], min, shown_by(started))
    ended = [history for history in histories.values() if history.ended]
    yield _date("last training ended", [each.ended for each in ended if each.ended], max, shown_by(ended))


def _date(name: str, moments: list[datetime], choose: Callable[[list[datetime]], datetime], source: str) -> Fact:
    return Fact(name, f"{choose(moments):%Y-%m-%d}", source) if moments else Fact(name)


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


def _gpu(run: Run) -> str | None:
    """As the record names it, or else as the log printed it."""
    return (_provenance(run.record, "gpu") if run.record else None) or run.log.gpu or None


def _short(record: StatusRecord, key: str) -> str | None:
    value = _provenance(record, key)
    return value and value[:12]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(attempts: Iterable[Attempt], field: str) -> int:
    return sum(bool(getattr(attempt, field)) for attempt in attempts)
