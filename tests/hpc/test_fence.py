"""The fence: an owner that was stopped anywhere, and woken after another took over, changes nothing any more."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kd_hpc import fence
from kd_hpc.disk.files import publish_bytes
from kd_hpc.disk.locks import Owner
from kd_hpc.disk.process import ProcessIdentity
from kd_hpc.errors import LockHeld, OwnerUnseen, RecordChanged, RunOwned, StoreError, Superseded
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import CHECKPOINT, STATUS, Store
from tests.hpc.stopped import CRIMES, GETSID
from tests.hpc.support import TEACHER
from tests.paths import ROOT


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "experiments")


def record_of(store: Store) -> StatusRecord:
    found = store.read(TEACHER)
    assert isinstance(found, StatusRecord)
    return found


def anybody(owner: Owner | None) -> bool:
    return True


def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this is a machine that sees nobody who was there before."""
    elsewhere = {"machine": "elsewhere", "hardware": "", "boot": "elsewhere", "namespace": "elsewhere"}
    monkeypatch.setattr("kd_hpc.disk.process._here", lambda: elsewhere)


# What an owner does that is stopped, and woken too late


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """Many small folders are made and removed in it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def can_trace() -> bool:
    return GETSID is not None and hasattr(ctypes.CDLL(None), "ptrace") and sys.platform == "linux"


def stops(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hpc.stopped", words[0], folder, *words[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not can_trace(), reason="system calls cannot be stopped at here")
@pytest.mark.parametrize(("deed", "fewest"), [("record", 20), ("epoch", 50), ("clear", 40), ("claim", 80)])
def test_stopped_before_any_system_call_and_woken_late_it_changes_nothing(
    deed: str, fewest: int, fast_folder: Path
) -> None:
    *stopped, whole = stops(fast_folder, deed)
    assert len(stopped) > fewest
    assert whole == {"stopped": False, "code": 0}
    assert {stop["code"] for stop in stopped} == {0, 3}, "done before the other took over, or superseded"
    new_lock = [".owner.5"] if deed == "claim" else []  # taken from nobody, and left at once: its record was replaced
    assert [stop for stop in stopped if stop["changed"] not in ([], new_lock)] == []


@pytest.mark.skipif(not can_trace(), reason="system calls cannot be stopped at here")
@pytest.mark.parametrize("crime", CRIMES)
def test_a_broken_fence_is_found_out(crime: str, fast_folder: Path) -> None:
    deed = "clear" if crime == "files are removed where they are" else "epoch"
    stopped = stops(fast_folder, deed, crime)
    assert any(stop.get("changed") for stop in stopped)


# What the fence refuses


def test_who_was_taken_over_can_do_nothing_and_says_who_took_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = store.create(TEACHER)
    with fence.opened(directory, token="first") as first:
        first.publish(directory / CHECKPOINT, b"first")
        unseen(monkeypatch)
        with fence.opened(directory, may_take_from=anybody) as second:
            second.publish(directory / CHECKPOINT, b"second")
            for deed in (
                lambda: first.publish(directory / CHECKPOINT, b"late"),
                lambda: first.keep(directory / CHECKPOINT, directory / "spare"),
                lambda: first.set_aside(directory / CHECKPOINT, "late"),
                lambda: first.remove(directory / CHECKPOINT),
                lambda: first.remove(directory / "nothing"),
                first.require,
            ):
                with pytest.raises(Superseded, match=f"superseded: this is first, .* by process {os.getpid()}"):
                    deed()
            second.require()
    assert (directory / CHECKPOINT).read_bytes() == b"second"
    assert {path.name.partition(".owner")[0] for path in directory.iterdir()} == {CHECKPOINT, ""}


def test_a_run_whose_directory_vanished_is_superseded_not_made_anew(store: Store) -> None:
    directory = store.create(TEACHER)
    with fence.opened(directory) as mine:
        directory.rename(directory.with_name("aside"))
        for _ in range(2):
            with pytest.raises(Superseded):
                mine.publish(directory / CHECKPOINT, b"late")
            directory.mkdir(exist_ok=True)  # begun anew by somebody else: its generations begin at 1 again
            (directory / ".writing.1.another").mkdir(exist_ok=True)
    assert not (directory / CHECKPOINT).exists()


def test_an_owner_that_lives_here_is_never_taken_over(store: Store) -> None:
    directory = store.create(TEACHER)
    with (
        fence.opened(directory) as mine,
        pytest.raises(LockHeld, match=f"process {os.getpid()}"),
        fence.opened(directory, may_take_from=anybody),
    ):
        pass
    with pytest.raises(Superseded):
        mine.require()


def test_a_full_or_missing_folder_is_no_supersession(store: Store, tmp_path: Path) -> None:
    directory = store.create(TEACHER)
    with fence.opened(directory) as mine:
        with pytest.raises(StoreError, match="No such file"):
            mine.publish(tmp_path / "missing" / "file", b"")
        (directory / "folder" / "inside").mkdir(parents=True)
        with pytest.raises(StoreError, match="directory"):
            mine.publish(directory / "folder", b"")
        mine.require()


def test_a_room_that_will_not_go_is_said_not_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kd_hpc.fence._PATIENCE", 0.1)
    directory = store.create(TEACHER)
    (directory / ".writing.1.old" / "a folder").mkdir(parents=True)
    with (
        pytest.raises(RunOwned, match=r"\.writing\.1\.old, of an earlier owner, cannot be removed"),
        fence.opened(directory),
    ):
        pass


def test_what_a_killed_owner_left_behind_is_gone_after_the_next(store: Store) -> None:
    directory = store.create(TEACHER)
    publish_bytes(directory / CHECKPOINT, b"kept")
    room = directory / ".writing.0.killed"
    room.mkdir()
    (room / ".status.json.1.tmp").write_text("half")
    with fence.opened(directory):
        pass
    assert not room.exists()
    assert (directory / CHECKPOINT).read_bytes() == b"kept"


def test_setting_aside_overwrites_nothing_and_keeps_what_it_moved(store: Store) -> None:
    directory = store.create(TEACHER)
    with fence.opened(directory) as mine:
        for content in (b"one", b"two"):
            mine.publish(directory / CHECKPOINT, content)
            mine.set_aside(directory / CHECKPOINT, f"it is {content.decode()}")
    assert not (directory / CHECKPOINT).exists()
    assert (directory / f"{CHECKPOINT}.quarantined.0").read_bytes() == b"one"
    assert (directory / f"{CHECKPOINT}.quarantined.1").read_bytes() == b"two"
    assert (directory / f"{CHECKPOINT}.quarantined.1.reason").read_text() == "it is two\n"


def test_a_spare_is_what_the_file_was_whatever_becomes_of_it(store: Store) -> None:
    directory = store.create(TEACHER)
    spare = directory / "spare"
    with fence.opened(directory) as mine:
        for number in range(3):
            mine.publish(directory / CHECKPOINT, b"%d" % number)
            mine.keep(directory / CHECKPOINT, spare)
            mine.keep(directory / CHECKPOINT, spare)
            assert spare.read_bytes() == b"%d" % number
        mine.publish(directory / CHECKPOINT, b"later")
        assert spare.read_bytes() == b"2"
        assert mine.digests["spare"] != mine.digests[CHECKPOINT]
        assert list(mine.room.iterdir()) == []


# Records


def test_a_record_made_from_another_than_the_one_on_disk_is_refused(store: Store) -> None:
    first = store.write(TEACHER, StatusRecord(state=State.QUEUED))
    second = store.write(TEACHER, first.model_copy(update={"epoch": 1}))
    assert (first.revision, second.revision) == (1, 2)
    before = (store.directory(TEACHER) / STATUS).read_bytes()
    for stale in (first, StatusRecord(), second.model_copy(update={"checksum": first.checksum})):
        with pytest.raises(RecordChanged, match="is not the record that this one was made from"):
            store.write(TEACHER, stale.model_copy(update={"epoch": 9}))
    assert (store.directory(TEACHER) / STATUS).read_bytes() == before
    assert store.write(TEACHER, second.model_copy(update={"epoch": 2})).revision == 3


def test_an_attempt_that_may_have_run_is_never_lost(store: Store) -> None:
    attempts = tuple(Attempt(number=n, token=f"t{n}", job_id=f"{n}.vm", scheduler="pbs") for n in (1, 2))
    record = store.write(TEACHER, StatusRecord(state=State.QUEUED, attempts=attempts))
    for lost in ((), attempts[:1], attempts[1:], (attempts[1], attempts[0])):
        with pytest.raises(RecordChanged, match="would lose attempt"):
            store.write(TEACHER, record.model_copy(update={"attempts": lost}))
    record = store.write(TEACHER, record.with_attempt(end_epoch=3))
    intent = Attempt(number=3, token="t3", scheduler="pbs")
    record = store.write(TEACHER, record.model_copy(update={"attempts": (*record.attempts, intent)}))
    record = store.write(TEACHER, record.model_copy(update={"attempts": record.attempts[:-1]}))
    assert [attempt.token for attempt in record.attempts] == ["t1", "t2"]


def test_a_taker_that_had_to_assume_says_of_whom_in_the_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.write(TEACHER, StatusRecord(state=State.QUEUED, attempts=(Attempt(token="t"),)))
    with store.opened(TEACHER, token="t"):
        unseen(monkeypatch)
        with pytest.raises(OwnerUnseen, match="cannot be seen from here"):
            store.write(TEACHER, record)
        written = store.write(TEACHER, record, may_take_from=anybody, because="7.vm: job_state = F")
    assert written.attempt is not None
    assert written.attempt.assumed_gone == (
        f"{ProcessIdentity.current()}, which could not be seen; 7.vm: job_state = F"
    )
    again = store.write(TEACHER, written.with_attempt(assumed_gone=""), may_take_from=anybody)
    assert again.attempt is not None
    assert not again.attempt.assumed_gone, "the one before was released"
