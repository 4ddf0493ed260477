"""The parts of the page, each from the overview alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from kd_hpc.inspection.grid import Grid, Line, Mark, mark_of
from kd_hpc.inspection.overview import AtWork, Need, Overview
from kd_hpc.inspection.overview_text import SIGNS
from kd_hpc.inspection.rows import Row
from kd_hpc.page.charts import Curve, chart, legend
from kd_hpc.page.markup import Markup, join, tag
from kd_hpc.screen.durations import ago, short
from kd_hpc.variant import arm, format_alpha

NAMES = {
    Mark.COMPLETED: "completed",
    Mark.RUNNING: "at work",
    Mark.QUEUED: "in the queue",
    Mark.TO_COME: "to come",
    Mark.HELD_UP: "waiting for a run that needs somebody",
    Mark.FAILED: "failed",
    Mark.DOUBTFUL: "suspect or unreadable",
}
_COMMAND = re.compile(r"kd-hpc .*")


def head(seen: Overview) -> Markup:
    """Title, how much is done, and how old what follows is."""
    counts = {mark: sum(mark_of(row) == mark for row in seen.rows) for mark in Mark}
    done, every = counts[Mark.COMPLETED], len(seen.rows)
    share = tag("progress", f"{done} of {every}", value=done, max=max(1, every), aria_label="completed runs")
    chips = [
        tag("li", _sign(mark), f" {count} {NAMES[mark]}", class_=_class(mark))
        for mark, count in counts.items()
        if count
    ]
    newest = f"; the newest record was written {ago(seen.newest, seen.now)}" if seen.newest else ""
    return tag(
        "header",
        tag("h1", f"{seen.title}: {done} of {every} runs completed"),
        share,
        tag("ul", *chips, class_="chips"),
        tag("p", f"As of {_when(seen.now)}{newest}.", class_="soft"),
        tag("button", "dark / light", id="theme", type="button"),
    )


def outlook(seen: Overview) -> Markup:
    """When it ends, with dates."""
    if seen.forecast is None:
        return _section("When it ends", tag("p", "No campaign is known here, so nothing can be forecast."))
    ahead = seen.forecast.forecast
    if ahead is None:
        return _section("When it ends", tag("p", *seen.forecast.prospects()))
    dates = {"even odds": ahead.p50, "nine in ten": ahead.p90, "the last teacher": ahead.teachers_p50}
    terms = [
        join((tag("dt", name), tag("dd", tag("strong", _when(seen.now + timedelta(seconds=s))), f" (in {short(s)})")))
        for name, s in dates.items()
        if s
    ]
    return _section("When it ends", tag("dl", *terms), *(tag("p", line) for line in seen.forecast.remarks()))


def needs(seen: Overview) -> Markup:
    """What a person must do, each with the command."""
    if not seen.needs:
        return _section("What needs you", tag("p", "Nothing."))
    return _section("What needs you", *(_need(need) for need in seen.needs))


def grid(seen: Overview) -> Markup:
    """A line a method, a column a data set, a mark a run."""
    places = {row.label: place for place, row in enumerate(seen.rows)}
    heads = [tag("th", dataset, scope="col") for dataset in seen.grid.datasets]
    body = [_line(line, seen.grid, places) for line in seen.grid.lines]
    table = tag(
        "table",
        tag(
            "caption",
            "A mark a run; groups are strengths alpha, in each the seeds. Point at one, or go with arrow keys.",
        ),
        tag("thead", tag("tr", tag("td"), *heads)),
        tag("tbody", *body),
        class_="grid",
        id="grid",
    )
    return _section(
        "The grid", tag("div", table, class_="wide"), tag("p", id="told", class_="told", aria_live="polite")
    )


def at_work(seen: Overview, curves: Mapping[str, Sequence[float]]) -> Markup:
    """Each job's runs with their curves so far."""
    if not seen.at_work:
        return _section("At work", tag("p", "No run is in progress by the records."))
    return _section("At work", tag("div", *(_job(job, curves) for job in seen.at_work), class_="jobs"))


def all_runs(seen: Overview) -> Markup:
    """Every run in a table that can be searched."""
    heads = [tag("th", name, scope="col") for name in ("run", "state", "epoch", "accuracy", "job", "reason")]
    body = [
        tag(
            "tr",
            tag("th", row.label, scope="row", class_="name"),
            tag("td", _sign(mark_of(row)), f" {row.state}", class_=_class(mark_of(row))),
            *(tag("td", cell) for cell in row.cells()[2:]),
            id=f"run-{place}",
        )
        for place, row in enumerate(seen.rows)
    ]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body), id="runs")
    search = tag(
        "label", "Show only ", tag("input", id="search", type="search", placeholder="Cifar100/rkd, failed, ...")
    )
    summary = tag("summary", f"All {len(seen.rows)} runs")
    return tag("section", tag("details", summary, tag("p", search), tag("div", table, class_="wide"), id="all"))


def _section(title: str, *children: object) -> Markup:
    return tag("section", tag("h2", title), *children)


def _need(need: Need) -> Markup:
    command = _COMMAND.search(need.remedy)
    before = need.remedy[: command.start()] if command else need.remedy
    many = len(need.rows) > 1
    title = f"{len(need.rows)} runs {need.rows[0].state}" if many else f"{need.rows[0].label} {need.rows[0].state}"
    waits = f"; {need.holds_up} more wait for {'them' if many else 'it'}" if need.holds_up else ""
    names = tag("details", tag("summary", "which"), tag("ul", *(tag("li", tag("code", r.label)) for r in need.rows)))
    likewise = tag("p", "For the first; the others likewise.") if not need.is_for_all else None
    return tag(
        "article",
        tag("h3", title + waits),
        tag("p", need.reason),
        tag("p", before, tag("code", command[0], class_="command") if command else None) if need.remedy else None,
        likewise,
        names if many else None,
        class_="need",
    )


def _line(line: Line, grid: Grid, places: Mapping[str, int]) -> Markup:
    cells = [tag("td", *_cell(strengths, places)) for strengths in line.cells]
    return tag("tr", tag("th", line.name, scope="row"), *cells)


def _cell(strengths: Sequence[Sequence[Row]], places: Mapping[str, int]) -> list[Markup]:
    return [tag("span", *(_mark(row, places[row.label]) for row in seeds), class_="seeds") for seeds in strengths]


def _mark(row: Row, place: int) -> Markup:
    mark = mark_of(row)
    told = _told(row)
    return tag("a", _sign(mark), href=f"#run-{place}", class_=f"mark {_class(mark)}", title=told, aria_label=told)


def _told(row: Row) -> str:
    """Everything about a run in one line, for who points at its mark."""
    _, _, epochs, accuracy, job, reason = row.cells()
    parts = [row.label, NAMES[mark_of(row)], f"epoch {epochs}" if epochs else "", accuracy, job, reason]
    return "; ".join(filter(None, parts))


def _job(job: AtWork, curves: Mapping[str, Sequence[float]]) -> Markup:
    record = job.leader.known
    attempt = record.attempt
    drawn = [Curve(_short(row), curves.get(row.label, ())) for row in job.rows]
    where = " ".join(
        filter(None, (attempt.job_id if attempt else "", f"on {attempt.host}" if attempt and attempt.host else ""))
    )
    left = "" if job.left is None or job.silent is not None else f", {short(job.left)} left"
    silent = tag("p", f"No word for {short(job.silent)}: it may be dead.", class_="silent") if job.silent else None
    described = f"Test accuracy over epochs of {', '.join(curve.name for curve in drawn)}"
    return tag(
        "article",
        tag("h3", _shared_name(job)),
        tag("p", f"epoch {job.leader.epochs}{left}", tag("br"), tag("span", where, class_="soft")),
        silent,
        chart(drawn, record.epochs or 1, described),
        legend(drawn),
    )


def _shared_name(job: AtWork) -> str:
    """What the job's runs have in common."""
    fields = job.leader.fields
    pair = f"{fields['teacher']} to {fields['student']}" if fields["teacher"] else f"{fields['student']} alone"
    return f"{fields['dataset']}, {pair}, seed {fields['seed']}"


def _short(row: Row) -> str:
    """What tells the run from others of its job."""
    fields = row.fields
    name = arm(fields["method"], fields["variant"])
    return name if fields["alpha"] is None else f"{name} {format_alpha(fields['alpha'])}"


def _sign(mark: Mark) -> Markup:
    return tag("span", SIGNS[mark][0], aria_hidden="true")


def _class(mark: Mark) -> str:
    return mark.name.lower().replace("_", "-")


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%A %d %B %Y, %H:%M}"
