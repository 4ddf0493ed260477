"""kd-hpc on a PBS where things go wrong, as a person meets it: what is said, what is done, and what is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import CONTROL
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import Unknown
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from kd_hpc.store import Store
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.schedulers.test_pbs_campaign import drive, hold_trainers, let_trainers_go, record, runner
from tests.hpc.support import HANGS, KD_HPC, PURE, TEACHER, campaign_file, kd_hpc, wait_until

CAMPAIGN = """\
name = "tiny"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
seeds = [0]

[recipe]
epochs = 3

[resources]
walltime = "00:10:00"
memory = "400mb"
queue = "gpu_1"
project = "CSCI1166"
venv = "{venv}"

[scheduler]
kind = "pbs"
slots = 4
"""


@pytest.fixture
def place(tmp_path: Path, fakepbs: FakePbs) -> Path:
    campaign_file(tmp_path, CAMPAIGN)
    return tmp_path


def known(place: Path, run: Experiment = TEACHER) -> StatusRecord:
    found = Store(place / "experiments").read(run)
    assert isinstance(found, StatusRecord)
    return found


def job_of(place: Path, run: Experiment = TEACHER) -> str:
    job_id = known(place, run).job_id
    assert job_id is not None
    return job_id


def asked(fakepbs: FakePbs, command: str) -> list[list[str]]:
    return [call for call in fakepbs.calls if call[0] == command]


# A node is lost


def lost_in_epoch_three(fakepbs: FakePbs, folder: Path) -> str:
    """The teacher's job, whose node was lost while it trains on; its run is in its third epoch."""
    hold_trainers(fakepbs, epoch=3)
    site = runner(folder, methods=[], alphas=[])
    site.tick()
    wait_until(lambda: all(record(site, run).epoch == 2 for run in (TEACHER, PURE)))
    job_id = record(site, TEACHER).job_id
    assert job_id is not None
    fakepbs.lose_node(job_id)
    return job_id


def test_a_run_whose_node_was_lost_is_not_given_to_a_second_trainer(fakepbs: FakePbs, tmp_path: Path) -> None:
    job_id = lost_in_epoch_three(fakepbs, tmp_path)
    site = runner(tmp_path, methods=[], alphas=[])
    report = site.tick()
    assert not [call for call in asked(fakepbs, "qsub") if fakepbs.jobs[job_id]["name"] in call][1:]
    assert len(asked(fakepbs, "qsub")) == 2
    decision = next(d for d in report.plan.decisions if d.experiment == TEACHER)
    assert decision.action == Action.LEAVE
    assert "the server lost its node vm" in decision.reason
    assert report.exit_code == 75
    let_trainers_go(fakepbs)
    wait_until(lambda: record(site, TEACHER).state == State.COMPLETED)
    site.tick()
    assert len(asked(fakepbs, "qsub")) == 2, "the old trainer lived on and finished"


@pytest.mark.parametrize("how", ["the node is back", "its walltime is over"])
def test_a_lost_run_goes_on_when_nothing_can_work_on_it(fakepbs: FakePbs, tmp_path: Path, how: str) -> None:
    job_id = lost_in_epoch_three(fakepbs, tmp_path)
    os.killpg(fakepbs.jobs[job_id]["session"], 9)
    site = runner(tmp_path, methods=[], alphas=[])
    if how == "the node is back":
        fakepbs.set(mom_is_down=False)
    else:
        site.clock = lambda: datetime.now(UTC) + timedelta(minutes=25)
    let_trainers_go(fakepbs)
    drive(site, fakepbs)
    first, second = record(site, TEACHER).attempts
    assert (first.cause, first.charged, first.end_epoch, first.exit_status) == ("node", False, 2, -20)
    assert second.start_epoch == 2


def test_a_daemon_restart_under_two_jobs_does_not_stop_the_campaign(fakepbs: FakePbs, tmp_path: Path) -> None:
    hold_trainers(fakepbs, epoch=2)
    site = runner(tmp_path, methods=[], alphas=[])
    site.tick()
    wait_until(lambda: all(record(site, run).epoch == 1 for run in (TEACHER, PURE)))
    for job_id in [str(record(site, run).job_id) for run in (TEACHER, PURE)]:
        fakepbs.restart_mom(job_id)
    report = site.tick()
    assert [attempt.cause for run in (TEACHER, PURE) for attempt in record(site, run).attempts[:1]] == ["node"] * 2
    assert len(report.plan.submissions) == 2
    assert not report.plan.bad_nodes
    let_trainers_go(fakepbs)
    drive(site, fakepbs)


def test_a_bad_node_is_named_with_its_time_by_queue_and_status(place: Path, fakepbs: FakePbs) -> None:
    store, now = Store(place / "experiments"), datetime.now(UTC)
    for run, minutes in ((TEACHER, 5), (PURE, 10)):
        ended = now - timedelta(minutes=minutes)
        fault = Attempt(token=run.student[:8], scheduler="pbs", job_id="1.x", cause="node", host="gpu7", ended_at=ended)
        store.write(run, StatusRecord(experiment=run, attempts=(fault,)))
    since = (now - timedelta(minutes=5)).astimezone().strftime("%H:%M")
    queued = kd_hpc("queue", "tiny.toml", cwd=place)
    assert f"Node gpu7 failed jobs 2 times, the last at {since}; until " in queued.stderr
    assert len(asked(fakepbs, "qsub")) == 1, "one job at a time"
    shown = kd_hpc("status", "tiny.toml", cwd=place).stdout
    assert f"Node gpu7 failed jobs 2 times, the last at {since}" in " ".join(shown.split())


# Refusals


HOOK = "qsub: Error: project NOPE is not valid or has no allocation. Use -P with a valid project.\n"


def test_a_refusal_is_quoted_counts_and_ends_the_watching(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.fault("qsub", "answer", exit=32, stderr=HOOK, times=9)
    once = kd_hpc("queue", "tiny.toml", cwd=place)
    assert once.returncode == 1
    assert "project NOPE is not valid" in once.stderr
    assert "try again" not in once.stderr
    assert "project NOPE is not valid" in known(place).reason
    assert "not taken" in kd_hpc("status", "tiny.toml", "--all", cwd=place).stdout
    watched = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert watched.returncode == 1
    assert "project NOPE is not valid" in watched.stderr


def test_an_unknown_queue_is_an_error_at_once(place: Path, fakepbs: FakePbs) -> None:
    campaign_file(place, CAMPAIGN.replace('"gpu_1"', '"nosuch"'))
    for words in (["--dry-run"], [], ["--watch"]):
        done = kd_hpc("queue", "tiny.toml", *words, cwd=place)
        assert "PBS knows no queue 'nosuch'" in done.stderr
        assert "qstat -Q" in done.stderr
        assert done.returncode == (0 if words == ["--dry-run"] else 1)
    assert not asked(fakepbs, "qsub")


def test_a_closed_queue_is_said_and_opened_again_is_used(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.set(queues={"gpu_1": {"enabled": False}})
    assert "queue gpu_1 is closed" in kd_hpc("queue", "tiny.toml", cwd=place).stderr
    fakepbs.set(queues={"gpu_1": {}})
    assert kd_hpc("queue", "tiny.toml", cwd=place).returncode == 0
    assert len(asked(fakepbs, "qsub")) == 2


def test_no_qsub_on_the_path_is_not_try_again(place: Path) -> None:
    (place / "nothing").mkdir()
    done = kd_hpc("queue", "tiny.toml", cwd=place, PATH=f"{place}/nothing")
    assert done.returncode == 1
    assert "qselect is not on the PATH" in done.stderr
    assert "login node" in done.stderr
    assert "ry again" not in done.stderr
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place, PATH=f"{place}/nothing").returncode == 1


def test_nothing_was_changed_is_said_only_where_that_is_so(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.fault("qrls", "refused_connection")
    done = kd_hpc("queue", "tiny.toml", cwd=place)
    assert done.returncode == 75
    assert "submitted Digits/pure/ResNet20/0" in done.stdout
    assert "Nothing was changed" not in done.stderr
    assert "the next round goes on from it" in done.stderr
    fakepbs.fault("qselect", "refused_connection")
    done = kd_hpc("queue", "tiny.toml", cwd=place)
    assert (done.returncode, "Nothing was changed" in done.stderr) == (75, True)


# A wish to end something


def test_a_cancel_that_could_not_reach_the_node_is_repeated_until_it_is_true(place: Path, fakepbs: FakePbs) -> None:
    hold_trainers(fakepbs, epoch=1)
    kd_hpc("queue", "tiny.toml", cwd=place)
    wait_until(lambda: known(place).state == State.IN_PROGRESS)
    job_id = job_of(place)
    fakepbs.set(mom_is_down=True)
    told = kd_hpc("cancel", "--yes", TEACHER.label, cwd=place)
    assert told.returncode == 75
    assert "could not connect to MOM" in told.stderr
    assert "asks for its end until it is gone" in told.stderr
    kd_hpc("queue", "tiny.toml", cwd=place)
    assert fakepbs.jobs[job_id]["state"] == "R"
    fakepbs.set(mom_is_down=False)
    assert f"Job {job_id} is deleted: you asked for its end" in kd_hpc("queue", "tiny.toml", cwd=place).stderr
    fakepbs.wait_for(job_id, "F")
    kd_hpc("queue", "tiny.toml", cwd=place)
    assert (known(place).state, known(place).reason) == (State.FAILED, "cancelled by you")
    let_trainers_go(fakepbs)


def test_the_wish_to_delete_a_stray_job_lasts_until_it_is_gone(place: Path, fakepbs: FakePbs) -> None:
    user = PbsScheduler().user
    fakepbs.add_job("7002000.sched01", name="mine", user=user, state="H", hold="u")
    kd_hpc("queue", "tiny.toml", cwd=place)
    fakepbs.fault("qdel", "refused_connection", times=2)
    told = kd_hpc("cancel", "--yes", "7002000", cwd=place)
    assert (told.returncode, "may live on" in told.stderr) == (75, True)
    kd_hpc("queue", "tiny.toml", cwd=place)
    assert fakepbs.jobs["7002000.sched01"]["state"] == "H"
    kd_hpc("queue", "tiny.toml", cwd=place)
    assert fakepbs.jobs["7002000.sched01"]["state"] == "F"
    kd_hpc("queue", "tiny.toml", cwd=place)
    notes = Evidence(Store(place), place / "experiments" / CONTROL / "weights.json").notes
    assert notes.unwanted() == ()


# Whose job is it


def test_a_reused_id_is_neither_believed_nor_touched(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.set(queues={"gpu_1": {"max_run": 0}})
    kd_hpc("queue", "tiny.toml", cwd=place)
    job_id = job_of(place)
    fakepbs.forget_everything()
    fakepbs.add_job(job_id, name="theirs", user="somebody", state="R")
    queued = kd_hpc("queue", "tiny.toml", cwd=place)
    assert "belongs to another job now: theirs, of somebody" in queued.stderr
    assert known(place).job_id == job_id
    told = kd_hpc("cancel", "--yes", TEACHER.label, cwd=place)
    assert f"job {job_id} is left alone" in told.stdout
    assert not asked(fakepbs, "qdel")
    assert fakepbs.jobs[job_id]["state"] == "R"
    why = kd_hpc("why", TEACHER.label, cwd=place).stdout
    assert "kd-hpc retry --gone" in " ".join(why.split())


def test_a_job_of_ones_own_with_another_name_is_not_touched_either(fakepbs: FakePbs) -> None:
    jobs = OwnJobs(PbsScheduler())
    fakepbs.add_job("7002781.sched01", name="kabcdefother123", user=jobs.scheduler.user)
    ours = JobRef("7002781.sched01", "mytoken1")
    assert isinstance(jobs.look([ours]).of("7002781.sched01"), Unknown)
    for act in (jobs.cancel, jobs.release):
        act([ours])
    assert not asked(fakepbs, "qdel")
    assert not asked(fakepbs, "qrls")
    jobs.cancel([JobRef("7002781.sched01", "other123")])
    assert len(asked(fakepbs, "qdel")) == 1


# What only a person can help with


def test_jobs_that_can_never_run_are_named_by_queue_and_status_with_the_line(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.set(queues={"gpu_1": {"max_run": 0}})
    kd_hpc("queue", "tiny.toml", cwd=place)
    never = "Can Never Run: Insufficient amount of resource: ngpus (R: 8 A: 3 T: 3)"
    fakepbs.fault("qstat", "answer", stdout=records(place, fakepbs, never))
    queued = kd_hpc("queue", "tiny.toml", cwd=place)
    assert never in queued.stderr
    assert "Mend gpus under [resources] of the campaign" in queued.stderr
    rows = json.loads(kd_hpc("status", "tiny.toml", "--json", cwd=place).stdout)["runs"]
    row = next(row for row in rows if row["run"] == TEACHER.label)
    assert never in row["reason"]
    assert row["needs_person"]
    assert "Mend gpus" in row["remedy"]


def records(place: Path, fakepbs: FakePbs, comment: str) -> str:
    """qstat -f of the jobs there are, each with that comment."""
    told = ""
    for job_id, job in fakepbs.jobs.items():
        told += f"Job Id: {job_id}\n    Job_Name = {job['name']}\n    Job_Owner = {job['user']}@vm\n"
        told += f"    job_state = Q\n    queue = gpu_1\n    comment = {comment}\n\n"
    return told


def test_a_hold_laid_by_a_person_is_respected(place: Path, fakepbs: FakePbs) -> None:
    fakepbs.set(queues={"gpu_1": {"max_run": 0}})
    kd_hpc("queue", "tiny.toml", cwd=place)
    job_id = job_of(place)
    subprocess.run([fakepbs.bin / "qhold", "-h", "u", job_id], check=True)
    queued = kd_hpc("queue", "tiny.toml", cwd=place)
    assert f"job {job_id} is held by yourself" in queued.stderr
    assert f"qrls {job_id}" in queued.stderr
    assert fakepbs.jobs[job_id]["state"] == "H"
    assert "held by yourself" in kd_hpc("status", "tiny.toml", "--all", cwd=place).stdout


# The rest of the world


def test_one_line_tells_of_all_stray_jobs(place: Path, fakepbs: FakePbs) -> None:
    user = PbsScheduler().user
    for number in range(7):
        fakepbs.add_job(f"70{number}.sched01", name=f"mine{number}", user=user, state="H", hold="u")
    told = [line for line in kd_hpc("queue", "tiny.toml", cwd=place).stderr.splitlines() if "knows nothing of" in line]
    assert len(told) == 1
    assert told[0].startswith("7 slots are taken by jobs this campaign knows nothing of: 700.sched01 (mine0), ")
    assert told[0].endswith("and 2 more.")


def test_a_start_up_files_remark_beside_good_answers_changes_nothing(place: Path, fakepbs: FakePbs) -> None:
    for command in ("qselect", "qstat", "qsub", "qrls"):
        real = fakepbs.home / command
        (fakepbs.bin / command).rename(real)
        (fakepbs.bin / command).write_text(f'#!/bin/sh\necho "module: loaded pbs" >&2\nexec "{real}" "$@"\n')
        (fakepbs.bin / command).chmod(0o755)
    done = kd_hpc("queue", "tiny.toml", cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(fakepbs.jobs) == 2
    told = kd_hpc("doctor", "tiny.toml", cwd=place).stdout
    line = next(line for line in told.splitlines() if "remarks" in line)
    assert line.startswith("warning")
    assert "module: loaded pbs" in line


def test_a_run_folder_that_cannot_be_written_is_its_own_trouble_alone(place: Path, fakepbs: FakePbs) -> None:
    in_the_way = place / "experiments" / TEACHER.path
    in_the_way.parent.mkdir(parents=True)
    in_the_way.symlink_to(place / "a disk that is not there")
    done = kd_hpc("queue", "tiny.toml", cwd=place)
    assert done.returncode == 1
    assert TEACHER.label in done.stderr
    assert known(place, PURE).state.has_job
    assert len(fakepbs.jobs) == 1


def test_watching_beside_another_tick_waits_for_it_and_watches(place: Path, fakepbs: FakePbs) -> None:
    holder = (
        "import sys, pathlib; from kd_hpc.queueing.runner import tick_lock\n"
        "with tick_lock(pathlib.Path('experiments/.kd')): print('held', flush=True); sys.stdin.read()"
    )
    text = CAMPAIGN.replace('kind = "pbs"', 'kind = "local"')
    campaign_file(place, text, "here.toml")
    words = [KD_HPC, "queue", "here.toml", "--watch"]
    holding = subprocess.Popen([sys.executable, "-c", holder], cwd=place, stdin=PIPE, stdout=PIPE, text=True)
    watching = None
    try:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "held\n"
        watching = subprocess.Popen(words, cwd=place, stdin=DEVNULL, stdout=PIPE, text=True)
        assert watching.stdout is not None
        assert f"process {holding.pid}" in watching.stdout.readline()
        holding.communicate(timeout=HANGS)
        watching.communicate(timeout=HANGS)
        assert watching.returncode == 0
    finally:
        for process in filter(None, (holding, watching)):
            process.kill()
            process.communicate()
