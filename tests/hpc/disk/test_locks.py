"""The lock that needs no flock: exclusive, broken only on proof, never stolen from the living."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kd_hpc.disk.locks import Owner, current_owner, held
from kd_hpc.disk.process import ProcessIdentity
from kd_hpc.errors import LockHeld, OwnerUnseen
from tests.hpc.support import calls_of

CONTEND = """
import pathlib, sys, time
from kd_hpc.disk import locks
from kd_hpc.errors import LockHeld
path, inside = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
entered = 0
while entered < 25:
    try:
        with locks.held(path):
            inside.mkdir()  # fails if anybody else is inside
            entered += 1
            inside.rmdir()
    except LockHeld:
        pass
print(entered)
"""


HOLD = """
import pathlib, sys, time
from kd_hpc.disk import locks
with locks.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


def test_many_processes_are_never_inside_together_and_all_get_in(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CONTEND, str(tmp_path / "lock"), str(tmp_path / "inside")]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    outcomes = [(*process.communicate(), process.returncode) for process in processes]
    assert all(code == 0 for _, _, code in outcomes), outcomes
    assert [int(out) for out, _, _ in outcomes] == [25] * 4


def test_a_held_lock_is_refused_with_its_owner_named(tmp_path: Path) -> None:
    with held(tmp_path / "lock"), pytest.raises(LockHeld, match=f"process {os.getpid()}"), held(tmp_path / "lock"):
        pass


def test_a_released_lock_is_free_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path / "lock"):
        raise ZeroDivisionError
    with held(tmp_path / "lock"):
        pass


def test_a_killed_owner_s_lock_is_taken_over(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LockHeld), held(tmp_path / "lock"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with held(tmp_path / "lock") as bid:
        assert bid.mine.process.pid == os.getpid()


def elsewhere(path: Path, **changes: object) -> None:
    """A lock whose owner's death cannot be proven from here."""
    here = ProcessIdentity.current()
    process = here.model_copy(update={"host": "elsewhere", "boot": "another boot"} | changes)
    owner = Owner(process=process, token="abc", since=datetime.now(UTC))
    path.with_name(path.name + ".1").write_text(owner.model_dump_json())


def test_an_owner_elsewhere_is_believed_alive_without_other_proof(tmp_path: Path) -> None:
    elsewhere(tmp_path / "lock")
    with pytest.raises(LockHeld), held(tmp_path / "lock"):
        pass
    with held(tmp_path / "lock", may_take_from=lambda owner: owner is not None and owner.token == "abc"):
        pass


def test_an_unreadable_lock_is_said_and_not_broken(tmp_path: Path) -> None:
    (tmp_path / "lock.7").write_text("{")
    with pytest.raises(OwnerUnseen, match=r"lock\.7 is damaged"), held(tmp_path / "lock"):
        pass
    with held(tmp_path / "lock", may_take_from=lambda owner: owner is None) as bid:
        assert bid.doubtful == "an owner whose lock is unreadable"


def test_old_generations_are_swept(tmp_path: Path) -> None:
    for _ in range(30):
        with held(tmp_path / "lock"):
            pass
    assert len(list(tmp_path.iterdir())) < 10
    owner = current_owner(tmp_path / "lock")
    assert owner is not None
    assert owner.is_alive() is False
    assert current_owner(tmp_path / "never") is None


def test_taking_a_lock_costs_the_same_however_often_it_was_taken(tmp_path: Path) -> None:
    def take() -> None:
        with held(tmp_path / "lock"):
            pass

    take()
    costs = [calls_of(take) for _ in range(20)]
    assert costs[-1] <= costs[10]
