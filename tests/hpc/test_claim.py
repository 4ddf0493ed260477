"""Claiming a run: the job on record may write, nobody else, and nobody while somebody may."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kd_hpc.claim import JobIdentity, claimed, owner
from kd_hpc.disk.sealed import object_bytes
from kd_hpc.errors import RunOwned, StoreError, Superseded
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import STATUS, Store
from tests.hpc.support import TEACHER, wait_until

JOB = JobIdentity("abcdefgh", "7.vm")
HAND = JobIdentity()


def recorded(store: Store, state: State, *attempts: Attempt, **fields: object) -> None:
    store.write(TEACHER, StatusRecord(state=state, attempts=attempts).model_copy(update=fields))


def attempt(token: str = "abcdefgh", job_id: str | None = "7.vm", **fields: object) -> Attempt:
    return Attempt.model_validate({"token": token, "job_id": job_id, "scheduler": "pbs"} | fields)


def latest_lock(store: Store) -> Path:
    return max(store.directory(TEACHER).glob(".owner.*"), key=lambda file: int(file.suffix[1:]))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "experiments")


def test_the_recorded_job_owns_the_run_and_its_start_is_noted(store: Store) -> None:
    recorded(store, State.QUEUED, attempt(), epoch=4)
    with claimed(store, TEACHER, JOB) as claim:
        record = claim.record
        assert record.attempt is not None
        assert (record.attempt.start_epoch, record.attempt.token) == (4, "abcdefgh")
        assert record.attempt.host
        found = owner(store.directory(TEACHER))
        assert found is not None
        assert found.is_alive()


@pytest.mark.parametrize(
    "job", [JobIdentity("zzzzzzzz", "7.vm"), JobIdentity("abcdefgh", "8.vm"), JobIdentity("abcdefgh", "")]
)
def test_any_other_job_is_superseded_and_touches_nothing(store: Store, job: JobIdentity) -> None:
    recorded(store, State.QUEUED, attempt())
    before = sorted(store.directory(TEACHER).iterdir())
    with pytest.raises(Superseded), claimed(store, TEACHER, job):
        pass
    assert sorted(store.directory(TEACHER).iterdir()) == before


def test_a_job_without_a_record_is_superseded(store: Store) -> None:
    with pytest.raises(Superseded), claimed(store, TEACHER, JOB):
        pass


def test_an_intent_without_a_job_id_lets_no_job_in(store: Store) -> None:
    recorded(store, State.SUBMITTING, attempt(job_id=None))
    with pytest.raises(Superseded), claimed(store, TEACHER, JOB):
        pass


def test_a_start_by_hand_adds_an_attempt(store: Store) -> None:
    with claimed(store, TEACHER, HAND) as claim:
        record = claim.record
        assert record.attempt is not None
        assert (record.attempt.scheduler, record.attempt.number, record.attempt.start_epoch) == ("hand", 1, 0)


@pytest.mark.parametrize("state", [State.SUBMITTING, State.QUEUED, State.IN_PROGRESS])
def test_a_start_by_hand_is_refused_while_a_job_may_be_alive(store: Store, state: State) -> None:
    recorded(store, state, attempt())
    with pytest.raises(RunOwned, match="kd-hpc cancel"), claimed(store, TEACHER, HAND):
        pass


def test_a_start_by_hand_is_allowed_once_the_job_s_end_is_on_record(store: Store) -> None:
    recorded(store, State.IN_PROGRESS, attempt(ended_at=datetime.now(UTC)))
    with claimed(store, TEACHER, HAND) as claim:
        record = claim.record
        assert len(record.attempts) == 2


def test_a_complete_run_is_only_shown(store: Store) -> None:
    recorded(store, State.COMPLETED, attempt(), epoch=9)
    with claimed(store, TEACHER, JOB) as claim:
        record = claim.record
        assert record.epoch == 9
    assert owner(store.directory(TEACHER)) is None


def test_an_unreadable_record_lets_nobody_in(store: Store) -> None:
    (store.create(TEACHER) / STATUS).write_text("{")
    with pytest.raises(StoreError, match="kd-hpc retry"), claimed(store, TEACHER, HAND):
        pass


HOLD = """
import pathlib, sys, time
from kd_hpc.claim import JobIdentity, claimed
from kd_hpc.experiment import Experiment
from kd_hpc.store import Store
with claimed(Store(pathlib.Path(sys.argv[1])), Experiment(dataset="Digits", student="ResNet20", seed=0), JobIdentity()):
    print("claimed", flush=True)
    time.sleep(3600)
"""


def test_one_process_at_a_time_owns_a_run_and_a_killed_one_frees_it(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        with pytest.raises(RunOwned, match=f"process {process.pid}"), claimed(store, TEACHER, HAND):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: owner(store.directory(TEACHER)).is_alive() is False)  # type: ignore[union-attr]
    with claimed(store, TEACHER, HAND):
        pass


def test_a_later_attempt_may_take_an_earlier_ones_lock_out_of_reach(store: Store) -> None:
    recorded(store, State.QUEUED, attempt("earlier1", "6.vm"), attempt())
    with claimed(store, TEACHER, JOB):
        lock = latest_lock(store)
        content = json.loads(lock.read_text())
    elsewhere = {**content, "token": "earlier1", "process": {**content["process"], "boot": "another"}}
    lock.write_bytes(object_bytes(elsewhere))
    assert owner(store.directory(TEACHER)).is_alive() is None  # type: ignore[union-attr]
    with claimed(store, TEACHER, JOB):
        pass
    lock = latest_lock(store)
    lock.write_bytes(object_bytes({**elsewhere, "token": "strange1"}))
    with pytest.raises(RunOwned), claimed(store, TEACHER, JOB):
        pass


def test_a_job_s_identity_comes_from_its_environment() -> None:
    assert JobIdentity.from_environment({"KD_TOKEN": "t", "PBS_JOBID": "7.vm"}) == JobIdentity("t", "7.vm")
    assert JobIdentity.from_environment({"KD_TOKEN": "t", "KD_JOB_ID": "1.t", "PBS_JOBID": "7.vm"}).job_id == "1.t"
    assert JobIdentity.from_environment({"PBS_JOBID": "7.vm"}) == HAND
