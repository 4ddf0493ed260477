"""Run directories on disk: records published whole, read whatever they are, set aside and never lost."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_hpc.disk.files import publish, publish_text, quarantine, sweep_temporaries
from kd_hpc.errors import FolderError, LaterRecord, RecordError, StoreError
from kd_hpc.records import SCHEMA_VERSION, Attempt, State, StatusRecord, parse_record, sealed, to_bytes
from kd_hpc.store import STATUS, Store, Unreadable, read_record
from tests.hpc.support import PURE, STUDENT, TEACHER
from tests.paths import BETA

# Files


def test_readers_always_see_a_whole_file_while_it_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    publish_text(path, "0" * 100_000)
    stop = threading.Event()

    def rewrite() -> None:
        for number in range(200):
            publish_text(path, str(number % 10) * 100_000)
        stop.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    reads = 0
    while not stop.is_set():
        content = path.read_text()
        assert len(content) == 100_000
        assert len(set(content)) == 1
        reads += 1
    writer.join()
    assert reads > 10


def test_a_kill_in_the_middle_leaves_the_old_file_and_a_sweepable_rest(tmp_path: Path) -> None:
    publish_text(tmp_path / "file", "old")
    program = (
        "import pathlib, os, signal; from kd_hpc.disk.files import publish\n"
        "def half(stream): stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"publish(pathlib.Path({str(tmp_path / 'file')!r}), half)"
    )
    died = subprocess.run([sys.executable, "-c", program], check=False)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    sweep_temporaries(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_failing_write_leaves_nothing_behind_and_the_old_file_as_it_was(tmp_path: Path) -> None:
    publish_text(tmp_path / "file", "old")

    def fail(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        publish(tmp_path / "file", fail)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]


def test_quarantine_overwrites_nothing(tmp_path: Path) -> None:
    for content in ("one", "two"):
        (tmp_path / "file").write_text(content)
        quarantine(tmp_path / "file", f"it is {content}")
    assert (tmp_path / "file.quarantined.0").read_text() == "one"
    assert (tmp_path / "file.quarantined.1").read_text() == "two"
    assert (tmp_path / "file.quarantined.1.reason").read_text() == "it is two\n"


# Records


@given(
    st.builds(
        StatusRecord,
        state=st.sampled_from(State),
        epoch=st.integers(0, 999),
        acc_last=st.none() | st.floats(0, 100),
        experiment=st.sampled_from([TEACHER, PURE, STUDENT]),
        revision=st.integers(1, 999),
        updated_at=st.datetimes(),
        attempts=st.lists(st.builds(Attempt, token=st.text(max_size=9), job_id=st.none() | st.text()), max_size=3).map(
            tuple
        ),
        reason=st.text(),
    )
)
def test_what_is_written_is_read(record: StatusRecord) -> None:
    assert parse_record(to_bytes(sealed(record))) == sealed(record)


@given(
    st.binary(max_size=200)
    | st.text().map(str.encode)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_whatever_stands_there_is_a_record_or_a_record_error(content: bytes) -> None:
    with contextlib.suppress(RecordError):
        assert isinstance(parse_record(content), StatusRecord)


def test_records_of_earlier_rounds_and_id_only_ones_are_read() -> None:
    only_id = parse_record(b'{"pbs_job_id": "7002781.sched01"}')
    assert (only_id.state, only_id.job_id) == (State.QUEUED, "7002781.sched01")
    assert only_id.attempt is not None
    assert only_id.attempt.scheduler == "pbs"
    old = parse_record(b'{"status": "completed", "epoch": 150, "max_acc": 93.5, "config": {"model": "ResNet56"}}')
    assert (old.state, old.acc_best, old.epoch) == (State.COMPLETED, 93.5, 150)
    with pytest.raises(RecordError):
        parse_record(b"{}")


def test_every_record_of_the_earlier_round_is_read() -> None:
    old = BETA
    if not old.is_dir():
        pytest.skip("the project's earlier rounds are not here")
    records = [read_record(path.parent) for path in old.rglob(STATUS)]
    assert records
    assert all(isinstance(record, StatusRecord) for record in records)


def test_a_later_version_s_record_is_not_taken_for_damage() -> None:
    with pytest.raises(LaterRecord):
        parse_record(json.dumps({"schema_version": SCHEMA_VERSION + 1, "state": ["new", "shape"]}).encode())


# The store


def test_a_record_is_written_stamped_and_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "experiments")
    assert store.read(STUDENT) is None
    written = store.write(STUDENT, StatusRecord(state=State.QUEUED))
    assert written.updated_at is not None
    assert store.read(STUDENT) == written
    assert (tmp_path / "experiments/Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0" / STATUS).is_file()


@pytest.mark.parametrize("content", ["", "{", '{"state": "flying", "schema_version": 1}', "[]", "\x00\x01"])
def test_a_damaged_record_is_unreadable_and_set_aside_once(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    (store.create(TEACHER) / STATUS).write_text(content)
    found = store.read(TEACHER)
    assert isinstance(found, Unreadable)
    assert found.is_damaged
    aside = store.set_record_aside(TEACHER, found)
    assert aside is not None
    assert aside.read_text() == content
    still = store.read(TEACHER)
    assert isinstance(still, Unreadable)
    assert store.set_record_aside(TEACHER, still) is None


def test_a_record_that_cannot_be_read_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    store = Store(tmp_path)
    (store.create(TEACHER) / STATUS).write_text("{}")
    monkeypatch.setattr(os, "open", fails)
    monkeypatch.setattr(Path, "open", fails)
    found = store.read(TEACHER)
    monkeypatch.undo()
    assert isinstance(found, Unreadable)
    assert not found.is_damaged


def test_run_directories_are_found_in_every_layout_and_nothing_else_is(tmp_path: Path) -> None:
    runs = ["A/pure/R/0", "A/rkd/alpha_0.5/R_to_S/1", "A/rkd/R_to_S/2"]
    for other in ("A/pure/R/notes", ".kd/local/1.x", "A/rkd/alpha_0.5/R_to_S/x", "A/stray"):
        (tmp_path / other).mkdir(parents=True)
    for run in runs:
        (tmp_path / run / "inner").mkdir(parents=True)
    assert list(Store(tmp_path).run_directories()) == sorted(map(PurePosixPath, runs))


def test_a_folder_that_cannot_hold_runs_is_refused_before_any_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="--experiments"):
        Store(tmp_path / "file" / "experiments").require_writable()
    Store(tmp_path / "new" / "deep").require_writable()
    assert not (tmp_path / "new").exists()
    if os.getuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(FolderError):
            Store(tmp_path / "new").require_writable()
        tmp_path.chmod(0o700)
