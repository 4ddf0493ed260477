"""What was left behind where nobody can see: every command names the one line that takes it over, and that line works.

After a laptop got another name, a login node was replaced by another, a container by the next.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.disk.sealed import object_bytes, read_object
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.support import (
    CAMPAIGN,
    KD_HPC,
    TEACHER,
    campaign_file,
    job_processes,
    kd_hpc,
    no_jobs_left,
    put_record,
    wait_until,
)

LINE = re.compile(r"kd-hpc retry --gone[^;]*")
ONE_RUN = CAMPAIGN.replace('methods = ["logit"]\nalphas = [0.5]\nseeds = [0, 1]', "seeds = [0]")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    campaign_file(tmp_path, ONE_RUN)
    with no_jobs_left(tmp_path):
        yield tmp_path


def store_of(place: Path) -> Store:
    return Store(place / "experiments")


def record_of(place: Path) -> StatusRecord:
    record = store_of(place).read(TEACHER)
    assert isinstance(record, StatusRecord)
    return record


def move_elsewhere(lock: Path) -> None:
    """As if the last owner had been on a machine that cannot be seen from here, and had never released."""
    files = sorted(lock.parent.glob(f"{lock.name}.*"), key=lambda file: int(file.suffix[1:]))
    content = read_object(files[-1])
    files[-1].write_bytes(object_bytes(content | {"released": False, "process": _moved(content["process"])}))


def _moved(process: dict[str, object]) -> dict[str, object]:
    return process | {"host": "old-name", "boot": "another", "machine": "another"}


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, cwd=folder, capture_output=True, check=False)


def line_in(text: str) -> list[str]:
    """The command that `text` tells to type."""
    found = LINE.search(" ".join(text.split()))
    assert found is not None, text
    return shlex.split(found[0])[1:]


@pytest.mark.parametrize("folder", ["experiments", "other runs"])
def test_a_tick_lock_of_nobody_knows_whom_is_taken_by_the_line_it_names(place: Path, folder: str) -> None:
    where = [] if folder == "experiments" else ["--experiments", folder]
    assert kd_hpc("queue", "tiny.toml", "--dry-run", *where, cwd=place).returncode == 0
    Store(place / folder).create(TEACHER)
    assert kd_hpc("retry", "--gone", *where, cwd=place).returncode == 0
    move_elsewhere(place / folder / ".kd/tick-lock")
    refused = kd_hpc("queue", "tiny.toml", *where, cwd=place)
    assert refused.returncode == 75
    assert "old-name" in refused.stderr
    assert "which cannot be seen from here" in refused.stderr
    assert "if it lives after all" in refused.stderr, "what it risks"
    why = kd_hpc("why", TEACHER.label, *where, "--campaign", "tiny.toml", cwd=place)
    assert line_in(why.stdout) == line_in(refused.stderr)
    taken = kd_hpc(*line_in(refused.stderr), cwd=place)
    assert (taken.returncode, "was taken from process" in taken.stderr) == (0, True), taken.stderr
    assert kd_hpc("queue", "tiny.toml", *where, cwd=place).returncode == 0


def test_a_tick_lock_that_is_damaged_stops_nobody(place: Path) -> None:
    assert kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="1", STANDIN_GO=str(place / "go")).returncode == 0
    for content in (b"", b"{", b"\xff\x00", b'{"process": {}}'):
        latest = max((place / "experiments/.kd").glob("tick-lock.*"), key=lambda file: int(file.suffix[1:]))
        latest.write_bytes(content)
        done = kd_hpc("queue", "tiny.toml", cwd=place)
        assert (done.returncode, "whose lock is unreadable" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize("command", ["queue", "why"])
def test_a_run_started_by_hand_out_of_sight_is_taken_by_the_line_named(place: Path, command: str) -> None:
    store = store_of(place)
    attempt = Attempt(start_epoch=0, end_epoch=2)
    put_record(store, TEACHER, StatusRecord(state=State.IN_PROGRESS, epoch=2, epochs=3, attempts=(attempt,)))
    with store.opened(TEACHER):
        pass
    move_elsewhere(store.directory(TEACHER) / ".owner")
    words = ("queue", "tiny.toml") if command == "queue" else ("why", TEACHER.label, "--campaign", "tiny.toml")
    said = kd_hpc(*words, cwd=place)
    words_of_line = line_in(said.stdout + said.stderr)
    assert words_of_line == ["retry", "--gone", TEACHER.label]
    assert kd_hpc("retry", TEACHER.label, cwd=place).returncode == 75, "only with a person's word"
    taken = kd_hpc(*words_of_line, cwd=place)
    assert (taken.returncode, "old-name is taken for gone" in taken.stdout) == (0, True), taken.stderr
    assumed = record_of(place).attempts[0].assumed_gone
    assert "old-name, which could not be seen; a person said that it is gone" in assumed
    assert "old-name" in kd_hpc("why", TEACHER.label, "--campaign", "tiny.toml", cwd=place).stdout
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0
    assert record_of(place).state == State.COMPLETED


def test_a_local_job_started_out_of_sight_is_taken_over_by_the_line_named(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="2", STANDIN_GO=str(place / "go"))
    wait_until(lambda: record_of(place).epoch == 1)
    for process in job_processes(place):
        process.kill()
    for started in (place / "experiments/.kd/local").glob("*/started"):
        started.write_text("old-name 17")
    left = kd_hpc("queue", "tiny.toml", cwd=place)
    assert left.returncode == 75
    assert "it was started on old-name, and nobody can see from here whether it runs there" in left.stderr
    assert line_in(left.stderr)[:2] == ["retry", "--gone"]
    why = kd_hpc("why", TEACHER.label, cwd=place)
    assert line_in(why.stdout) == ["retry", "--gone", TEACHER.label]
    assert kd_hpc(*line_in(why.stdout), cwd=place).returncode == 0
    other = kd_hpc("queue", "tiny.toml", cwd=place)
    assert kd_hpc(*line_in(other.stderr), cwd=place).returncode == 0
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert (done.returncode, record_of(place).state) == (0, State.COMPLETED), done.stderr
    assert record_of(place).attempts[1].start_epoch == 1, "it went on from its checkpoint"


def test_a_renamed_laptop_goes_on_by_itself_with_what_it_killed(place: Path) -> None:
    renamed = ["unshare", "--uts", "sh", "-c", 'hostname renamed && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*renamed, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this user may not rename a machine")
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="2", STANDIN_GO=str(place / "go"))
    wait_until(lambda: record_of(place).epoch == 1)
    for process in job_processes(place):
        process.kill()
    (place / "go").touch()
    done = subprocess.run(
        [*renamed, KD_HPC, "queue", "tiny.toml", "--watch"], cwd=place, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert record_of(place).state == State.COMPLETED


def test_what_lives_here_is_never_taken_over_whatever_a_person_says(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="2", STANDIN_GO=str(place / "go"))
    wait_until(lambda: record_of(place).epoch == 1)
    before = record_of(place)
    refused = kd_hpc("retry", "--gone", TEACHER.label, cwd=place)
    assert (refused.returncode, "is being trained by process" in refused.stderr) == (75, True)
    assert record_of(place) == before
    (place / "go").touch()
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0
