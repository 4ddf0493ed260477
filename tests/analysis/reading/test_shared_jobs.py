"""Students that share a job: their hours, jobs and deaths count once, by hand and for any course of events."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_analysis.accuracy.names import show_method
from kd_analysis.analysis import analyse
from kd_analysis.methodology.chapter import as_markdown as chapter_text
from kd_analysis.methodology.facts import methodology
from kd_analysis.reading.durations import device_seconds, wall_seconds
from kd_analysis.reading.jobs import jobs_of
from kd_analysis.reading.runs_table import collect, frame
from kd_analysis.report.document import Table, Text
from kd_analysis.report.sections.state import cost_section
from kd_analysis.representations.cache import Cache
from kd_analysis.weekly.activity import activity
from kd_analysis.weekly.page import as_markdown
from kd_analysis.weekly.story import Week, tell
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord, most_at_once
from kd_hpc.store import Store
from kd_hpc.triage.run_directory import Curves, Run, read_run

WEEK = Week(date(2026, 3, 2), date(2026, 3, 8))
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TEACHER = Experiment(dataset="Digits", student="ResNet20", seed=0)
STUDENTS = {
    method: Experiment(dataset="Digits", method=method, alpha=0.5, teacher="ResNet20", student="ResNetBaby", seed=0)
    for method in ("logit", "rkd", "nst")
}
LABELS = tuple(run.label for run in STUDENTS.values())
ALONE = {"logit": 3600.0, "rkd": 1800.0, "nst": 5400.0}
"""Seconds of the first epoch, which each student trained alone; three of 10,800 s follow, together."""


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Jobs 1 to 3 train one student each and end at their walltime; 4 trains all three and its node fails; 5 ends it.

    The teacher was trained by an earlier version, which did not count students: four epochs of 900 s.
    """
    store = Store(tmp_path / "experiments")
    write(store, TEACHER, {"seconds": [900.0] * 4}, ())
    for place, (method, run) in enumerate(STUDENTS.items()):
        curves: dict[str, list[float]] = {"seconds": [ALONE[method], *[10800.0] * 3], "students": [1, 3, 3, 3]}
        write(store, run, curves, attempts_of(place))
    return store.root


def attempts_of(place: int) -> tuple[Attempt, ...]:
    """Of the student at `place`: an hour alone, one after the other; then 12 to 14 and 15 to 16 o'clock, together.

    In job 4 each begins a minute after the one before it and the last ends half an hour early.
    """
    begin = NINE + place * HOUR
    ended_early = place == 2
    return (
        job(str(place + 1), begin, begin + HOUR, cause="walltime", start_epoch=0),
        job(
            "4",
            NINE + 3 * HOUR + place * MINUTE,
            NINE + 5 * HOUR - (30 * MINUTE if ended_early else 0 * MINUTE),
            cause="node",
            runs=LABELS,
            start_epoch=1,
        ),
        job("5", NINE + 6 * HOUR + place * MINUTE, NINE + 7 * HOUR, runs=LABELS, start_epoch=2),
    )


def job(number: str, start: datetime, end: datetime, **more: object) -> Attempt:
    submitted = start.replace(minute=0) - 2 * HOUR
    times = {"submitted_at": submitted, "started_at": start, "ended_at": end}
    asked = {"walltime": "02:00:00", "memory": "16gb"}
    return Attempt.model_validate(
        {"token": f"t{number}", "scheduler": "pbs", "job_id": f"{number}.sched01", **times, **asked, **more}
    )


def write(store: Store, run: Experiment, curves: dict[str, list[float]], attempts: tuple[Attempt, ...]) -> None:
    test_acc = [80.0, 85.0, 88.0, 90.0 + len(run.method) / 10]
    record = StatusRecord(
        state=State.COMPLETED,
        epoch=4,
        epochs=4,
        acc_last=test_acc[-1],
        acc_best=test_acc[-1],
        experiment=run,
        attempts=attempts,
    )
    store.write(run, record)
    (store.directory(run) / "metrics.json").write_text(json.dumps({"test_acc": test_acc, **curves}))


def without_counts(root: Path) -> Path:
    """The same tree as an earlier version would have written it, one student a job."""
    for path in root.rglob("metrics.json"):
        curves = json.loads(path.read_text())
        curves.pop("students", None)
        path.write_text(json.dumps(curves))
    for path in root.rglob("status.json"):
        record = json.loads(path.read_text())
        for attempt in record["attempts"]:
            attempt.pop("runs", None)
        path.write_text(json.dumps(record))
    return root


def test_device_time_of_a_shared_job_adds_up_to_what_it_took(experiments: Path) -> None:
    found = frame(collect(experiments)).set_index("method")
    # 3600 + 3 x 10800 / 3, and so on; together 3600 + 1800 + 5400 alone and 3 x 10800 side by side
    assert found["device_seconds"].to_dict() == {"logit": 14400, "rkd": 12600, "nst": 16200, "pure": 3600}
    assert found["device_seconds"].drop("pure").sum() == 3600 + 1800 + 5400 + 3 * 10800
    assert found["seconds"].to_dict() == {"logit": 36000, "rkd": 34200, "nst": 37800, "pure": 3600}
    assert found["students_at_most"].to_dict() == {"logit": 3, "rkd": 3, "nst": 3, "pure": 1}


def test_the_cost_section_adds_up_device_hours_and_says_how_many_shared(experiments: Path, tmp_path: Path) -> None:
    section = cost_section(analyse(experiments, None, Cache(tmp_path / "cache"), 1))
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert {row[1]: row[2:] for row in table.rows} == {
        "pure ResNet20": ("1", 1, 900.0, 1.0, 1.0),
        show_method("logit"): ("1–3", 1, 9000.0, 4.0, 4.0),
        show_method("rkd"): ("1–3", 1, 8550.0, 3.5, 3.5),
        show_method("nst"): ("1–3", 1, 9450.0, 4.5, 4.5),
    }
    (text,) = (block.content for block in section.blocks if isinstance(block, Text))
    assert text.startswith("13.0 hours of device time over the 4 of 4 runs")
    assert "a run is charged a k-th" in text


def test_the_methodology_counts_jobs_and_students_an_epoch(experiments: Path) -> None:
    chapter = methodology(collect(experiments))
    facts = {fact.name: fact for part in chapter.parts for fact in part.facts}
    for name, value, source in (
        ("scheduler", "pbs", "5 jobs"),
        ("students a job", "1 (3), 3 (2)", "5 jobs"),
        ("walltime asked for", "02:00:00", "5 jobs"),
        ("memory asked for", "16gb", "5 jobs"),
        ("hours from submission to start", "mean 2.00, longest 2.00", "5 jobs"),
        (
            "attempts that ended early, by cause",
            "3 node in 1 job, 3 walltime",
            "9 attempts of 3 runs in 5 jobs, 3 records",
        ),
    ):
        assert (facts[name].value, facts[name].source) == (value, source)
    assert facts["most at work at once"].value == "1"
    text = chapter_text(chapter)
    assert "| Digits | Logit KD | ResNet20–ResNetBaby | 1–3 | 1 | 9000.0 | 4.00 |" in text
    assert "| Digits | pure | ResNet20 | 1 | 1 | 900.0 | 1.00 |" in text


def test_a_week_counts_the_hours_and_deaths_of_a_shared_job_once(experiments: Path) -> None:
    tree = collect(experiments)
    found = activity([item.run for item in tree.runs], *WEEK.span)
    assert (len(found.started), found.jobs_started, len(found.deaths), found.jobs_died) == (9, 5, 6, 4)
    assert found.hours == pytest.approx(3 + 2 + 1)
    text = as_markdown(tell(WEEK, experiments, tree, "no forecast asked"))
    assert "9 attempts of 3 runs started in 5 jobs; 3 runs completed; 6.0 hours of work, those of" in text
    assert "6 attempts in 4 jobs ended early: 3 node, 3 walltime." in text
    assert "| attempts started | 9 in 5 jobs | 0 |" in text
    assert "| hours of work | 6.0 | 0.0 |" in text


def test_sharing_is_nothing_against_a_run(experiments: Path) -> None:
    codes = {item.run.path: {finding.code for finding in item.findings} for item in collect(experiments).runs}
    for label in LABELS:
        assert codes[label] <= {"resumed"}


def test_where_nobody_shares_nothing_speaks_of_sharing(
    experiments: Path,
) -> None:
    without_counts(experiments)
    tree = collect(experiments)
    before = chapter_text(methodology(tree)), frame(tree).to_csv()
    assert "k students" not in before[0]
    assert "in 9 jobs" not in before[0]
    for path in experiments.rglob("metrics.json"):
        curves = json.loads(path.read_text())
        path.write_text(json.dumps({**curves, "students": [1] * 4}))
    tree = collect(experiments)
    assert (chapter_text(methodology(tree)), frame(tree).to_csv()) == before


EPOCHS = st.lists(
    st.tuples(st.floats(0.1, 1e5), st.sets(st.sampled_from(sorted(STUDENTS)), min_size=1)), min_size=1, max_size=30
)
"""Epochs of a device, one after the other: its seconds, and who trained."""


@pytest.fixture(scope="module")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = PurePosixPath(TEACHER.path)
    root = tmp_path_factory.mktemp("empty")
    (root / path).mkdir(parents=True)
    return read_run(root, path)


@given(EPOCHS)
def test_shares_add_up_to_the_seconds_of_the_device_whoever_trained(
    empty_run: Run, epochs: list[tuple[float, set[str]]]
) -> None:
    runs = []
    for name in STUDENTS:
        mine = [(seconds, len(who)) for seconds, who in epochs if name in who]
        seconds, students = tuple(s for s, _ in mine), tuple(float(k) for _, k in mine)
        curves = Curves(seconds=seconds, students=students, test_acc=tuple(50.0 for _ in mine))
        runs.append(replace(empty_run, curves=curves))
    shares = [device_seconds(run) for run in runs if run.epochs]
    assert sum(shares) == pytest.approx(sum(seconds for seconds, _ in epochs), rel=1e-9)
    if all(len(who) == 1 for _, who in epochs):
        assert shares == [wall_seconds(run) for run in runs if run.epochs]


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=20), st.integers(0, 20))
def test_epochs_before_students_were_counted_are_of_one(empty_run: Run, seconds: list[float], counted: int) -> None:
    counted = min(counted, len(seconds))
    curves = Curves(seconds=tuple(seconds), students=(2.0,) * counted, test_acc=(50.0,) * len(seconds))
    early = len(seconds) - counted
    expected = math.fsum(seconds[:early]) + math.fsum(seconds[early:]) / 2
    assert device_seconds(replace(empty_run, curves=curves)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("stated", [[0, -3, None, 2], [1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 2, 2], []])
def test_a_count_that_cannot_be_meant_is_no_count(stated: list[int | None]) -> None:
    found = Curves.model_validate({"seconds": [1, 1, 1, 1], "students": stated}).side_by_side
    assert found == {4: (1, 1, 1, 2), 12: (2, 2, 2, 2), 0: (1, 1, 1, 1)}[len(stated)]


SPANS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 200), st.integers(1, 90)).map(lambda s: (s[0], s[1], s[1] + s[2])),
    max_size=12,
)
"""Attempts: of which job, and their first and last minute."""


@given(SPANS, st.integers(0, 150), st.integers(1, 150))
def test_hours_and_jobs_at_once_against_counting_minutes(
    spans: list[tuple[int, int, int]], first: int, length: int
) -> None:
    attempts = [job(str(number), NINE + start * MINUTE, NINE + end * MINUTE) for number, start, end in spans]
    at_work = [{number for number, start, end in spans if start <= minute < end} for minute in range(300)]
    jobs = jobs_of(attempts)
    window = NINE + first * MINUTE, NINE + (first + length) * MINUTE
    counted = sum(len(numbers) for numbers in at_work[first : first + length])
    assert sum(found.hours(*window) for found in jobs) * 60 == pytest.approx(counted)
    assert most_at_once(span for job in jobs for span in job.spans) == max(map(len, at_work))
    assert len(jobs) == len({number for number, _, _ in spans})


def test_starts_by_hand_are_each_a_job_of_their_own() -> None:
    assert len(jobs_of([Attempt(), Attempt(), Attempt(scheduler="pbs", job_id="1"), Attempt(job_id="1")])) == 4
