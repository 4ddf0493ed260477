"""Several students in one job, with real processes: the local scheduler, and a PBS that is a small program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.queueing.actions import Trainer
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import Runner
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.job_names import parse_job_name
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from kd_hpc.store import Store
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.schedulers.test_pbs_campaign import drive
from tests.hpc.support import (
    CAMPAIGN,
    KD_HPC,
    PURE,
    STUDENT,
    TEACHER,
    campaign_file,
    job_processes,
    kd_hpc,
    no_jobs_left,
    standin_venv,
    tiny_campaign,
    wait_until,
)

SHARED = CAMPAIGN.replace('["logit"]', '["logit", "rkd", "nst"]').replace("seeds = [0, 1]", "seeds = [0]")
SHARED = SHARED.replace("[recipe]", "students_per_job = 3\n\n[recipe]")
STUDENTS = [STUDENT.model_copy(update={"method": method}) for method in ("logit", "rkd", "nst")]
LEADER, *FOLLOWERS = STUDENTS


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    campaign_file(tmp_path, SHARED)
    with no_jobs_left(tmp_path):
        yield tmp_path


def record_of(store: Store, experiment: Experiment) -> StatusRecord:
    record = store.read(experiment)
    assert isinstance(record, StatusRecord)
    return record


def last(place: Path, experiment: Experiment) -> Attempt:
    attempt = record_of(Store(place / "experiments"), experiment).attempt
    assert attempt is not None
    return attempt


def state(place: Path, experiment: Experiment) -> State | None:
    record = Store(place / "experiments").read(experiment)
    return record.state if isinstance(record, StatusRecord) else None


def hold(place: Path, epoch: int = 2) -> None:
    """The teacher is done, and its three students are held in `epoch` of their one job."""
    kd_hpc("queue", "tiny.toml", cwd=place)
    wait_until(lambda: state(place, TEACHER) == State.COMPLETED and not job_processes(place))
    done = kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD=str(epoch), STANDIN_GO=str(place / "go"))
    assert "3 to submit in 1 job (" in done.stderr, done.stderr
    wait_until(lambda: all(record_of(Store(place / "experiments"), run).epoch == epoch - 1 for run in STUDENTS))


def test_a_watched_queue_tells_of_a_shared_job_in_one_line(place: Path) -> None:
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    told = [line.partition(" ")[2] for line in done.stdout.splitlines() if "submitted" in line]
    beside = f"submitted {LEADER.label} and in its job 2 more (rkd 0.5, nst 0.5)"
    assert [line for line in told if LEADER.label in line] == [beside], done.stdout
    assert not any(follower.label in line for line in told for follower in FOLLOWERS)
    completed = [line for line in done.stdout.splitlines() if "completed" in line]
    assert all(any(student.label in line for line in completed) for student in STUDENTS)


def test_three_students_share_a_job_each_with_its_own_record(place: Path) -> None:
    hold(place)
    attempts = [last(place, run) for run in STUDENTS]
    assert len({(attempt.job_id, attempt.token, attempt.runs) for attempt in attempts}) == 1
    assert attempts[0].runs == tuple(run.label for run in STUDENTS)
    assert len(job_processes(place)) == 2, "a supervisor and one trainer"
    again = kd_hpc("queue", "tiny.toml", "--dry-run", cwd=place)
    assert "3 in 1 job (1 of 2 slots in use)" in again.stderr
    (place / "go").touch()
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0
    assert [len(record_of(Store(place / "experiments"), run).attempts) for run in STUDENTS] == [1, 1, 1]
    directories = [place / "experiments" / run.path for run in STUDENTS]
    assert [(directory / "logs").exists() for directory in directories] == [True, False, False]
    assert all((directory / "best.pth").exists() for directory in directories)


def test_killed_runner_and_trainer_leave_students_that_go_on_together(place: Path) -> None:
    hold(place, epoch=3)
    runner = subprocess.Popen([KD_HPC, "queue", "tiny.toml", "--watch"], cwd=place, start_new_session=True)
    for process in job_processes(place):
        process.kill()
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 0, done.stderr
    records = [record_of(Store(place / "experiments"), run) for run in STUDENTS]
    for record in records:
        first, second = record.attempts
        assert (first.charged, first.end_epoch, second.start_epoch) == (False, 2, 2)
    assert len({record.job_id for record in records}) == 1


def test_why_and_diagnose_find_a_followers_output_with_its_leader(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", cwd=place)
    wait_until(lambda: state(place, TEACHER) == State.COMPLETED and not job_processes(place))
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_DIE="2")
    wait_until(lambda: state(place, LEADER) == State.IN_PROGRESS and not job_processes(place))
    follower = FOLLOWERS[-1]
    found = json.loads(kd_hpc("diagnose", follower.label, "--json", cwd=place).stdout)
    assert "told to die" in found["diagnosis"]["detail"]
    assert f"{LEADER.label}/errors" in found["evidence"]
    links = json.loads(kd_hpc("why", follower.label, "--json", cwd=place).stdout)
    said = {link["kind"]: link["says"] for link in links["links"]}
    assert f"shared by 3 runs, its output in {LEADER.label}" in said["attempt 1"]
    assert "told to die" in said["ending"]
    by_job = json.loads(kd_hpc("why", str(last(place, follower).job_id), "--json", cwd=place).stdout)
    assert by_job["links"][0]["says"] == f"experiments/{LEADER.label}"


def test_cancelling_one_run_says_what_becomes_of_the_others(place: Path) -> None:
    hold(place)
    job, cancelled = last(place, LEADER).job_id, FOLLOWERS[0]
    told = kd_hpc("cancel", "--yes", cancelled.label, cwd=place)
    assert f"job {job} is deleted; it is not queued any more; 2 other runs of that job go on in another" in told.stdout
    wait_until(lambda: not job_processes(place))
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 3
    for run in (LEADER, FOLLOWERS[1]):
        record = record_of(Store(place / "experiments"), run)
        assert record.state == State.COMPLETED
        assert not record.attempts[0].charged
        assert cancelled.label in str(record.attempts[0].detail)
    assert state(place, cancelled) == State.FAILED
    assert kd_hpc("retry", cancelled.label, cwd=place).returncode == 0
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0


def test_cancelling_a_job_by_its_id_means_every_run_in_it(place: Path) -> None:
    hold(place)
    told = kd_hpc("cancel", "--yes", str(last(place, LEADER).job_id), cwd=place)
    assert [run.label in told.stdout for run in STUDENTS] == [True] * 3
    assert "go on in another" not in told.stdout
    wait_until(lambda: not job_processes(place))
    kd_hpc("queue", "tiny.toml", cwd=place)
    assert {state(place, run) for run in STUDENTS} == {State.FAILED}


def test_one_student_a_job_is_written_as_ever(place: Path) -> None:
    campaign_file(place, SHARED.replace("students_per_job = 3", "students_per_job = 1"))
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0
    assert len({last(place, run).job_id for run in STUDENTS}) == 3
    for run in STUDENTS:
        content = (place / "experiments" / run.path / "status.json").read_text()
        assert '"runs"' not in content


@pytest.mark.parametrize("number", ["0", "-1", '"six"', "2.5"])
def test_a_number_of_students_that_cannot_be_is_refused_with_its_field(place: Path, number: str) -> None:
    campaign_file(place, SHARED.replace("students_per_job = 3", f"students_per_job = {number}"))
    done = kd_hpc("queue", "tiny.toml", cwd=place)
    assert (done.returncode, "students_per_job" in done.stderr) == (2, True)


def pbs_runner(folder: Path) -> Runner:
    resources = {"project": "CSCI1166", "queue": "gpu_1", "walltime": "00:10:00", "memory": "400mb"}
    campaign = tiny_campaign(
        seeds=[0],
        methods=["logit", "rkd", "nst"],
        students_per_job=3,
        recipe={"epochs": 3},
        scheduler={"kind": "pbs", "slots": 10},
        resources=resources,
    )
    store = Store(folder / "experiments")
    trainer = Trainer(str(standin_venv(folder / "venv") / "bin" / "kd-core"))
    return Runner(campaign, store, OwnJobs(PbsScheduler("gpu_1")), Evidence(store, folder / "weights"), trainer)


def is_done(runner: Runner, run: Experiment) -> bool:
    record = runner.store.read(run)
    return isinstance(record, StatusRecord) and record.is_done


@pytest.mark.parametrize(
    ("command", "fault", "details"),
    [
        ("qsub", "dies_after_accepting", {"hangs": True, "after": 2}),
        ("qsub", "dies_after_accepting", {"exit": 0, "after": 2}),
        ("qsub", "refused_connection", {"times": 2, "after": 2}),
        ("qselect", "lying_silence", {"times": 2, "after": 3}),
        ("qrls", "refused_connection", {"times": 2, "after": 1}),
    ],
)
def test_a_failing_command_neither_loses_nor_doubles_a_shared_run(
    fakepbs: FakePbs, tmp_path: Path, command: str, fault: str, details: dict[str, Any]
) -> None:
    fakepbs.fault(command, fault, **details)
    runner = pbs_runner(tmp_path)
    drive(runner, fakepbs)
    records = [record_of(runner.store, run) for run in STUDENTS]
    assert {record.state for record in records} == {State.COMPLETED}
    assert len({record.job_id for record in records}) == 1
    began = [job_id for job_id, job in fakepbs.jobs.items() if job.get("stime")]
    assert len(began) == 3, "the teacher's, the pure student's, and the one that three students shared"
    assert records[0].job_id in began
    banners = (runner.store.directory(LEADER) / "logs").read_text().count("== kd job ")
    assert banners == 1


def test_on_pbs_a_group_is_one_qsub_and_goes_on_as_one_after_its_walltime(fakepbs: FakePbs, tmp_path: Path) -> None:
    runner = pbs_runner(tmp_path)
    runner.tick()
    wait_until(lambda: all(is_done(runner, run) for run in (TEACHER, PURE)))
    fakepbs.set(environment={"STANDIN_HOLD": "3", "STANDIN_GO": str(tmp_path / "go")})
    runner.tick()
    wait_until(lambda: all(record_of(runner.store, run).epoch == 2 for run in STUDENTS))
    job_id = record_of(runner.store, LEADER).job_id
    assert job_id is not None
    fakepbs.exceed_walltime(job_id)
    fakepbs.wait_for(job_id, "F")
    (tmp_path / "go").touch()
    drive(runner, fakepbs)
    records = [record_of(runner.store, run) for run in STUDENTS]
    for record in records:
        first, second = record.attempts
        assert (first.cause, first.charged, len(first.runs or ()), len(second.runs or ())) == ("walltime", False, 3, 3)
        assert second.start_epoch == first.end_epoch
    for number in (0, 1):
        assert len({record.attempts[number].job_id for record in records}) == 1
    shared = [name for job in fakepbs.jobs.values() if (name := parse_job_name(job["name"])) and name.is_shared]
    assert [name.token for name in shared[:2]] == [attempt.token for attempt in records[0].attempts[:2]]
    assert all(len(str(name)) == 15 for name in shared)
