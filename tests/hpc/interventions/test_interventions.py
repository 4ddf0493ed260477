"""kd-hpc why, retry, cancel, status: as a person types them, on real run directories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import STATUS, Store
from tests.hpc.support import PURE, STUDENT, TEACHER, campaign_file, job_processes, kd_hpc, no_jobs_left, wait_until
from tests.paths import BETA


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    campaign_file(tmp_path)
    with no_jobs_left(tmp_path):
        yield tmp_path


def record_of(place: Path, experiment: Experiment) -> StatusRecord:
    record = Store(place / "experiments").read(experiment)
    assert isinstance(record, StatusRecord)
    return record


def links(place: Path, run: str) -> dict[str, str]:
    done = kd_hpc("why", run, "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    return {link["kind"]: link["says"] for link in json.loads(done.stdout)["links"]}


def start_and_hold(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="1", STANDIN_GO=str(place / "go"))
    wait_until(lambda: record_of(place, TEACHER).state == State.IN_PROGRESS)


def test_why_finds_a_run_by_path_job_and_token_and_gives_the_chain(place: Path) -> None:
    start_and_hold(place)
    attempt = record_of(place, TEACHER).attempt
    assert attempt is not None
    assert attempt.job_id is not None
    number = attempt.job_id.partition(".")[0]
    for name in (TEACHER.label, f"experiments/{TEACHER.label}/", attempt.job_id, number, attempt.token):
        found = links(place, name)
        assert found["run"] == f"experiments/{TEACHER.label}"
        assert found["record"].startswith("in_progress")
        assert found["scheduler"] == f"job {attempt.job_id} is running: running"
        assert found["decision"].startswith("leave")
        assert "alive" in found["owner"]
    waiting = links(place, STUDENT.label)
    assert "its teacher Digits/pure/ResNet20/0 is not completed yet" in waiting["decision"]
    unknown = kd_hpc("why", "nothing", cwd=place)
    assert (unknown.returncode, "kd-hpc status" in unknown.stderr) == (2, True)
    (place / "go").touch()


def test_retry_goes_on_from_the_last_epoch_and_forgives_the_deaths(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="2")
    failed = record_of(place, TEACHER)
    assert failed.state == State.FAILED
    dry = kd_hpc("retry", TEACHER.label, "--dry-run", cwd=place)
    assert f"{TEACHER.label}: tried again from epoch 1" in dry.stdout
    assert record_of(place, TEACHER) == failed
    assert kd_hpc("retry", TEACHER.label, cwd=place).returncode == 0
    assert all(attempt.forgiven for attempt in record_of(place, TEACHER).attempts)
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    done = record_of(place, TEACHER)
    assert done.state == State.COMPLETED
    assert done.attempt is not None
    assert done.attempt.start_epoch == 1


def test_retry_leaves_what_is_complete_or_alive_and_says_what_to_type(place: Path) -> None:
    start_and_hold(place)
    alive = kd_hpc("retry", TEACHER.label, cwd=place)
    assert (alive.returncode, "kd-hpc cancel" in alive.stderr) == (75, True)
    (place / "go").touch()
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    before = record_of(place, TEACHER)
    complete = kd_hpc("retry", TEACHER.label, cwd=place)
    assert (complete.returncode, "--anew" in complete.stdout) == (0, True)
    assert record_of(place, TEACHER) == before
    completed = record_of(place, PURE)
    Store(place / "experiments").write(PURE, completed.model_copy(update={"state": State.SUSPECT}))
    suspect = kd_hpc("retry", PURE.label, cwd=place)
    assert (suspect.returncode, "--anew" in suspect.stderr) == (2, True)


def test_retry_anew_keeps_the_old_directory_aside(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert kd_hpc("retry", "--anew", "--yes", PURE.label, cwd=place).returncode == 0
    assert Store(place / "experiments").read(PURE) is None
    (kept,) = (place / "experiments/.kd/aside").glob(f"*/{PURE.label}/{STATUS}")
    assert json.loads(kept.read_text())["state"] == "completed"
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0


def test_an_unreadable_record_is_set_aside_and_waits_to_be_cleared(place: Path) -> None:
    directory = Store(place / "experiments").create(TEACHER)
    (directory / STATUS).write_text('{"state": "in_pro')
    first = kd_hpc("queue", "tiny.toml", cwd=place)
    assert "record set aside" in first.stdout
    assert (directory / f"{STATUS}.quarantined.0").read_text() == '{"state": "in_pro'
    second = kd_hpc("queue", "tiny.toml", "--dry-run", "--json", cwd=place)
    decision = next(d for d in json.loads(second.stdout)["decisions"] if d["run"] == TEACHER.label)
    assert decision["action"] == "quarantine"
    assert f"kd-hpc retry {TEACHER.label}" in decision["remedy"]
    assert kd_hpc("retry", TEACHER.label, cwd=place).returncode == 0
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0
    assert (directory / f"{STATUS}.quarantined.0").exists()


def test_cancel_ends_the_job_and_the_run_stays_ended_until_retried(place: Path) -> None:
    start_and_hold(place)
    refused = kd_hpc("cancel", TEACHER.label, cwd=place)
    assert refused.returncode == 1
    wait_until(lambda: len(job_processes(place)) == 4)
    assert kd_hpc("cancel", "--yes", TEACHER.label, cwd=place).returncode == 0
    wait_until(lambda: len(job_processes(place)) == 2)
    (place / "go").touch()
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 3
    record = record_of(place, TEACHER)
    assert (record.state, record.reason) == (State.FAILED, "cancelled by you")
    assert len(record.attempts) == 1
    assert kd_hpc("retry", TEACHER.label, cwd=place).returncode == 0
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0


def test_status_shows_runs_of_every_kind(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="2")
    (Store(place / "experiments").create(PURE) / STATUS).write_text("{")
    lines = {line.split()[0]: line for line in kd_hpc("status", "tiny.toml", "*", cwd=place).stdout.splitlines()}
    assert "failed" in lines[TEACHER.label]
    assert "1/3" in lines[TEACHER.label]
    assert "unreadable" in lines[PURE.label]
    assert "its teacher" in lines[STUDENT.label]


def test_status_reads_the_trees_of_earlier_rounds() -> None:
    old = BETA
    if not old.is_dir():
        pytest.skip("the project's earlier rounds are not here")
    rows = json.loads(kd_hpc("status", "--json", "--experiments", old, cwd=old).stdout)["runs"]
    leaves = [folder for folder in old.rglob("*") if folder.is_dir() and not any(e.is_dir() for e in folder.iterdir())]
    assert len(rows) == len(leaves)
    assert sum("record" in row for row in rows) == len(list(old.rglob("status.json")))
    assert {row["state"] for row in rows} <= {"completed", "in_progress", "not_started", "failed"}
