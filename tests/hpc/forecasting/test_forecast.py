"""Forecast and rehearsal: against arithmetic where arithmetic suffices, and as people type them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kd_hpc.disk.files import publish_text
from kd_hpc.experiment import Experiment
from kd_hpc.forecasting.forecast import Forecast, forecast, remaining
from kd_hpc.forecasting.timings import Timings, kind_of, read_timings
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import METRICS, Store
from tests.hpc.support import PURE, STUDENT, TEACHER, campaign_file, kd_hpc, no_jobs_left, tiny_campaign

EVEN = {("Digits", "pure", "ResNet20"): [60.0, 60.0], ("Digits", "pure", "ResNetBaby"): [60.0, 60.0]}
EVEN |= {("Digits", "logit", "ResNet20_to_ResNetBaby"): [60.0, 60.0]}


def outlook(
    measures: Timings,
    *,
    slots: int = 2,
    finished: tuple[Experiment, ...] = (),
    walltime: str = "10:00:00",
    epochs: int = 10,
    tick: float = 0.0,
) -> Forecast:
    resources = {"walltime": walltime, "gpus": 1}
    campaign = tiny_campaign(seeds=[0], recipe={"epochs": epochs}, resources=resources)
    work = remaining(campaign, {}, set(finished), measures)
    found = forecast(campaign, work, measures, jobs_at_once=slots, tick_seconds=tick)
    assert found is not None
    return found


def test_an_even_campaign_ends_when_arithmetic_says() -> None:
    # teacher and pure student side by side, then the distilled student behind its teacher
    found = outlook(Timings(EVEN))
    assert (found.p50, found.p90, found.teachers_p50) == (1200, 1200, 600)
    assert found.gpu_hours_p50 == pytest.approx(3 * 600 / 3600)
    assert outlook(Timings(EVEN), slots=1).p50 == 1800


def test_finished_runs_and_finished_teachers_cost_nothing() -> None:
    assert outlook(Timings(EVEN), finished=(TEACHER,)).p50 == 600
    assert outlook(Timings(EVEN), finished=(TEACHER, PURE, STUDENT)).p50 == 0


def test_walltime_kills_repeat_half_an_epoch_each_and_another_tick() -> None:
    # 100 epochs of 60 s in jobs of 600 s: each loses 30 s on average, so ceil(6000 / 570) jobs
    jobs = math.ceil(6000 / 570)
    found = outlook(Timings(EVEN), finished=(TEACHER, PURE), walltime="00:10:00", epochs=100)
    assert found.restarts_p50 == jobs - 1
    assert found.p50 == pytest.approx(6000 + (jobs - 1) * 30)


def test_a_better_walltime_is_proposed_only_where_it_saves_hours() -> None:
    slow_ticks = outlook(Timings(EVEN), walltime="00:10:00", epochs=100, tick=3600)
    assert slow_ticks.better_walltime
    assert slow_ticks.better_saves > 2 * 3600
    assert not outlook(Timings(EVEN), walltime="10:00:00", epochs=100, tick=3600).better_walltime


def test_deaths_lengthen_the_forecast_and_widen_it() -> None:
    calm, rough = outlook(Timings(EVEN), epochs=100), outlook(Timings(EVEN, deaths_per_hour=1.0), epochs=100)
    assert calm.p50 == calm.p90
    assert calm.p50 < rough.p50 < rough.p90


def test_nothing_is_said_before_anything_was_measured() -> None:
    campaign = tiny_campaign()
    work = remaining(campaign, {}, set(), Timings({}))
    assert forecast(campaign, work, Timings({}), jobs_at_once=2, tick_seconds=0) is None


def test_unmeasured_runs_take_the_nearest_measured_pace_and_say_so() -> None:
    one = Timings({("Digits", "rkd", "ResNet20_to_ResNetBaby"): [5.0]})
    assert one.paces_for(STUDENT) == ([5.0], "other methods on that data set")
    assert one.paces_for(TEACHER) == ([5.0], "other models on that data set")
    assert outlook(one).guessed == 3


def test_measures_come_from_metrics_and_attempts(tmp_path: Path) -> None:
    store, now = Store(tmp_path), datetime(2026, 1, 1, tzinfo=UTC)
    publish_text(store.create(TEACHER) / METRICS, json.dumps({"seconds": [9.0, 3.0, 3.0]}))
    publish_text(store.create(PURE) / METRICS, "torn {")

    def attempt(start: int, end: int, cause: str | None = None) -> Attempt:
        return Attempt(
            job_id="1.vm",
            submitted_at=now + timedelta(seconds=start - 5),
            started_at=now + timedelta(seconds=start),
            ended_at=now + timedelta(seconds=end),
            cause=cause,
        )

    records = {
        TEACHER: StatusRecord(state=State.COMPLETED, attempts=(attempt(0, 10, "signal"), attempt(10, 20))),
        PURE: StatusRecord(state=State.COMPLETED, attempts=(attempt(5, 15),)),
    }
    found = read_timings(store, records)
    assert found.paces == {kind_of(TEACHER): [3.0]}
    assert list(found.waits) == [5, 5, 5]
    assert found.most_running == 2
    assert found.spent_seconds == 15
    assert found.deaths_per_hour == pytest.approx(1 / (15 / 3600))


def shared_outlook(measures: Timings, students_per_job: int) -> Forecast:
    """Six students of a finished teacher, ten epochs each, in two slots."""
    campaign = tiny_campaign(
        seeds=[0],
        methods=["logit", "rkd", "nst"],
        alphas=[0.25, 0.5],
        students_per_job=students_per_job,
        recipe={"epochs": 10},
        resources={"walltime": "10:00:00", "gpus": 1},
    )
    work = remaining(campaign, {}, {TEACHER, PURE}, measures)
    found = forecast(campaign, work, measures, jobs_at_once=2, tick_seconds=0)
    assert found is not None
    return found


ALONE = {("Digits", method, "ResNet20_to_ResNetBaby"): [60.0, 60.0] for method in ("logit", "rkd", "nst")}
OF_THREE = {("Digits", "ResNet20_to_ResNetBaby", 3): [120.0, 120.0]}


def test_students_that_share_jobs_take_the_time_measured_for_them() -> None:
    found = shared_outlook(Timings(ALONE, OF_THREE), 3)
    assert (found.runs_left, found.jobs_left, found.guessed) == (6, 2, 0)
    assert found.p50 == 1200  # two jobs side by side, 10 epochs of 120 s
    assert found.gpu_hours_p50 == pytest.approx(2 * 1200 / 3600)


def test_before_a_shared_job_was_measured_no_time_is_counted_on() -> None:
    alone, shared = shared_outlook(Timings(ALONE), 1), shared_outlook(Timings(ALONE), 3)
    assert (alone.p50, shared.p50) == (1800, 1800)
    assert shared.gpu_hours_p50 == pytest.approx(alone.gpu_hours_p50)
    assert (alone.guessed, shared.guessed) == (0, 6)


def test_from_jobs_of_another_number_of_students_no_gain_is_guessed() -> None:
    measures = Timings({}, OF_THREE)
    student = STUDENT.model_copy(update={"method": "rkd"})
    assert measures.paces_for(student, 3) == ([120.0, 120.0], "measured")
    assert measures.paces_for(student, 6) == ([240.0, 240.0], "jobs of 3 students")
    assert measures.paces_for(student, 2) == ([120.0, 120.0], "jobs of 3 students")
    assert measures.paces_for(student, 1) == ([120.0, 120.0], "jobs of 3 students")
    assert Timings(ALONE, OF_THREE).paces_for(student) == ([60.0, 60.0], "measured")


def test_an_epoch_that_students_shared_is_spent_once_and_dies_once(tmp_path: Path) -> None:
    store, now = Store(tmp_path), datetime(2026, 1, 1, tzinfo=UTC)
    students = [STUDENT.model_copy(update={"method": method}) for method in ("logit", "rkd", "nst")]
    runs = tuple(run.label for run in students)

    def attempt(token: str, start: int, end: int, cause: str | None = None) -> Attempt:
        return Attempt(
            token=token,
            job_id=f"{token}.vm",
            runs=runs if token != "alone" else None,
            submitted_at=now + timedelta(seconds=start - 5),
            started_at=now + timedelta(seconds=start),
            ended_at=now + timedelta(seconds=end),
            start_epoch=start // 10,
            end_epoch=end // 10,
            cause=cause,
        )

    records = {}
    for run in students:
        publish_text(store.create(run) / METRICS, json.dumps({"seconds": [5.0, 9.0, 9.0, 9.0]}))
        first, together = attempt("alone", 0, 10), attempt("together", 10, 30, "signal")
        records[run] = StatusRecord(epoch=4, attempts=(first, together, attempt("again", 30, 40)))
    found = read_timings(store, records)
    assert found.shared == {("Digits", "ResNet20_to_ResNetBaby", 3): [9.0, 9.0, 9.0]}
    assert not found.paces
    assert found.spent_seconds == 3 * 5 + 3 * 9
    assert found.most_running == 3, "three alone at first, one job afterwards"
    assert list(found.waits) == [5] * 5
    assert found.deaths_per_hour == pytest.approx(1 / (42 / 3600))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    campaign_file(tmp_path)
    with no_jobs_left(tmp_path):
        yield tmp_path


def test_forecast_speaks_of_the_campaign_queued_last(place: Path) -> None:
    nothing = kd_hpc("forecast", cwd=place)
    assert (nothing.returncode, "--campaign" in nothing.stderr) == (2, True)
    fresh = kd_hpc("forecast", "tiny.toml", cwd=place)
    assert "No epoch was measured yet" in fresh.stdout
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="2")
    store = Store(place / "experiments")
    record = store.read(TEACHER)
    assert isinstance(record, StatusRecord)
    store.write(TEACHER, record.model_copy(update={"state": State.IN_PROGRESS, "epoch": 1}))
    told = kd_hpc("forecast", cwd=place)
    assert "even odds: done in" in told.stdout, told.stderr
    data = json.loads(kd_hpc("forecast", "--json", cwd=place).stdout)
    assert data["outlook"]["runs_left"] == 2  # that teacher and its student; the other teacher failed
    assert data["outlook"]["p50"] <= data["outlook"]["p90"]


def test_simulate_is_the_same_for_the_same_seed_and_touches_nothing(place: Path) -> None:
    before = set(place.rglob("*"))
    first, second = (kd_hpc("simulate", "tiny.toml", "--worlds", "3", "--json", cwd=place) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    worlds = json.loads(first.stdout)["worlds"]
    assert [world["actions"].get("done") for world in worlds] == [6, 6, 6]
    assert not any(world["broken"] for world in worlds)
    calm = json.loads(kd_hpc("simulate", "tiny.toml", "--faults", "none", "--json", cwd=place).stdout)["worlds"]
    assert (calm[0]["jobs"], calm[0]["starts"]) == (6, 6)
    assert set(place.rglob("*")) == before
