"""A whole campaign through the real runner onto a PBS that fails on the way: each run exactly once, none lost."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action
from kd_hpc.queueing.actions import Trainer
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import Runner
from kd_hpc.queueing.tick_report import Report
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.job_names import parse_job_name, tag
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from kd_hpc.store import Store
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.support import HANGS, PURE, STUDENT, TEACHER, standin_venv, tiny_campaign, wait_until

RUNS = (TEACHER, PURE, STUDENT)


def runner(folder: Path, *, scheduler: PbsScheduler | None = None, **changes: Any) -> Runner:
    resources = {"project": "CSCI1166", "queue": "gpu_1", "walltime": "00:10:00", "memory": "400mb"}
    campaign = tiny_campaign(
        seeds=[0],
        scheduler={"kind": "pbs", "slots": 10},
        resources=resources | changes.pop("resources", {}),
        **changes,
    )
    store = Store(folder / "experiments")
    program = str(standin_venv(folder / "venv") / "bin" / "kd-core")
    scheduler = scheduler or PbsScheduler("gpu_1")
    return Runner(campaign, store, OwnJobs(scheduler), Evidence(store, folder / "weights"), Trainer(program))


def drive(runner: Runner, fakepbs: FakePbs) -> list[Report]:
    """Tick until every run is done, as cron would, only more often."""
    deadline, reports = time.monotonic() + HANGS, []
    while True:
        reports.append(runner.tick())
        if all(decision.action == Action.DONE for decision in reports[-1].plan.decisions):
            return reports
        assert time.monotonic() < deadline, reports[-1]
        fakepbs.wait_for_news()


def hold_trainers(fakepbs: FakePbs, epoch: int) -> None:
    """From now on jobs wait in that epoch until they are let go."""
    held = {"STANDIN_HOLD": str(epoch), "STANDIN_GO": str(fakepbs.home / "go")}
    fakepbs.set(environment=held)


def let_trainers_go(fakepbs: FakePbs) -> None:
    (fakepbs.home / "go").touch()


def record(runner: Runner, run: Experiment) -> StatusRecord:
    found = runner.store.read(run)
    assert isinstance(found, StatusRecord)
    return found


def first_attempt(runner: Runner, run: Experiment) -> Attempt:
    return record(runner, run).attempts[0]


def starts(runner: Runner, run: Experiment) -> int:
    return (runner.store.directory(run) / "logs").read_text().count("== kd job ")


def assert_each_run_was_done_exactly_once(runner: Runner, fakepbs: FakePbs) -> None:
    for run in RUNS:
        assert record(runner, run).state == State.COMPLETED
        assert starts(runner, run) == 1, f"{run.label} was started more than once"
    teacher, student = record(runner, TEACHER).attempt, record(runner, STUDENT).attempt
    assert teacher is not None
    assert student is not None
    assert student.submitted_at is not None
    assert teacher.ended_at is not None
    assert student.submitted_at > teacher.ended_at
    recorded = {record(runner, run).job_id for run in RUNS}
    began = {job_id for job_id, job in fakepbs.jobs.items() if job.get("stime")}
    assert began <= recorded, "a job that no record knows has run"


@pytest.mark.parametrize(
    ("command", "fault", "details"),
    [
        ("none", "none", {}),
        ("qsub", "refused_connection", {"times": 2}),
        ("qsub", "dies_after_accepting", {"hangs": True}),
        ("qsub", "dies_after_accepting", {"exit": 0, "times": 3}),
        ("qstat", "lying_silence", {"times": 2, "after": 1}),
        ("qstat", "answer", {"exit": 153, "stderr": "Connection refused\n", "times": 2, "after": 1}),
        ("qselect", "lying_silence", {"times": 2, "after": 1}),
        ("qselect", "hangs", {"after": 1}),
        ("qrls", "refused_connection", {"times": 2}),
    ],
)
def test_a_failing_command_neither_loses_nor_doubles_a_run(
    fakepbs: FakePbs, tmp_path: Path, command: str, fault: str, details: dict[str, Any]
) -> None:
    fakepbs.fault(command, fault, **details)
    site = runner(tmp_path)
    drive(site, fakepbs)
    assert_each_run_was_done_exactly_once(site, fakepbs)
    names = Counter(parse_job_name(job["name"]) for job in fakepbs.jobs.values())
    assert set(names.values()) == {1}
    assert None not in names


def test_a_server_without_history_finishes_a_campaign(fakepbs: FakePbs, tmp_path: Path) -> None:
    fakepbs.set(history=False)
    site = runner(tmp_path)
    drive(site, fakepbs)
    assert_each_run_was_done_exactly_once(site, fakepbs)


class DiesAfterSubmitting(PbsScheduler):
    """The runner's process ends between the server's answer and the record."""

    def submit_held(self, spec: JobSpec) -> str:
        super().submit_held(spec)
        raise KeyboardInterrupt


def test_a_runner_killed_between_submission_and_record_adopts_its_job(fakepbs: FakePbs, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path, scheduler=DiesAfterSubmitting("gpu_1")).tick()
    (orphan,) = fakepbs.jobs
    site = runner(tmp_path)
    drive(site, fakepbs)
    assert_each_run_was_done_exactly_once(site, fakepbs)
    assert orphan in {record(site, run).job_id for run in RUNS}


def test_a_job_killed_at_walltime_goes_on_from_its_last_epoch_uncharged(fakepbs: FakePbs, tmp_path: Path) -> None:
    hold_trainers(fakepbs, epoch=3)
    site = runner(tmp_path, recipe={"epochs": 5}, methods=[], alphas=[])
    site.tick()
    wait_until(lambda: record(site, TEACHER).epoch == 2)
    job_id = record(site, TEACHER).job_id
    assert job_id is not None
    fakepbs.exceed_walltime(job_id)
    fakepbs.wait_for(job_id, "F")
    let_trainers_go(fakepbs)
    drive(site, fakepbs)
    first, second = record(site, TEACHER).attempts
    assert (first.cause, first.charged, first.exit_status, first.end_epoch) == ("walltime", False, -29, 2)
    assert second.start_epoch == 2
    assert record(site, TEACHER).state == State.COMPLETED


def test_a_deleted_job_is_diagnosed_and_its_run_queued_again(fakepbs: FakePbs, tmp_path: Path) -> None:
    fakepbs.set(queues={"gpu_1": {"max_queued": 10, "max_run": 0}})
    site = runner(tmp_path)
    site.tick()
    deleted = first_attempt(site, TEACHER).job_id
    assert deleted is not None
    site.scheduler.cancel([JobRef(deleted)])
    fakepbs.set(queues={"gpu_1": {"max_queued": 10, "max_run": 4}})
    drive(site, fakepbs)
    assert first_attempt(site, TEACHER).cause == "deleted"
    assert starts(site, TEACHER) == 1


@pytest.mark.parametrize(("fault", "status"), [("node_faults", -1), ("launch_faults", -3)])
def test_a_node_fault_is_not_charged_and_the_run_is_done_elsewhere(
    fakepbs: FakePbs, tmp_path: Path, fault: str, status: int
) -> None:
    """A job that PBS gave up after 21 attempts to start it is held for ever: it is deleted, and made again."""
    fakepbs.set(**{fault: 1})
    site = runner(tmp_path)
    drive(site, fakepbs)
    faulty = [attempt for run in RUNS for attempt in record(site, run).attempts if attempt.cause == "node"]
    assert [(attempt.charged, attempt.exit_status) for attempt in faulty] == [(False, status)]
    assert [starts(site, run) for run in RUNS] == [1, 1, 1]


def test_the_queues_own_limit_is_kept_not_the_campaigns(fakepbs: FakePbs, tmp_path: Path) -> None:
    fakepbs.set(queues={"gpu_1": {"max_queued": 1, "max_run": 1}})
    hold_trainers(fakepbs, epoch=1)
    site = runner(tmp_path)
    reports = [site.tick(), site.tick()]
    assert [(report.plan.in_use, report.plan.capacity) for report in reports] == [(0, 1), (1, 1)]
    assert [len(report.plan.submissions) for report in reports] == [1, 0]
    let_trainers_go(fakepbs)
    assert not any(report.refused for report in reports + drive(site, fakepbs))
    assert_each_run_was_done_exactly_once(site, fakepbs)


def test_a_stray_job_takes_a_slot_and_is_listed(fakepbs: FakePbs, tmp_path: Path) -> None:
    fakepbs.set(queues={"gpu_1": {"max_queued": 2, "max_run": 0}})
    site = runner(tmp_path)
    other = JobSpec("somebodys-else", "x", ["true"], tmp_path, site.campaign.resources)
    stray = site.scheduler.submit_held(other)
    report = site.tick()
    assert [job.job_id for job in report.plan.strays] == [stray]
    assert len(fakepbs.jobs) == 2
    assert tag(site.root, TEACHER) in [
        name.tag for job in fakepbs.jobs.values() if (name := parse_job_name(job["name"]))
    ]
