"""kd-hpc queue as a person types it: real processes, the local scheduler, a stand-in trainer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store
from tests.ctrl_c import press_ctrl_c
from tests.hpc.support import (
    CAMPAIGN,
    KD_HPC,
    PURE,
    STUDENT,
    TEACHER,
    campaign_file,
    kd_hpc,
    no_jobs_left,
    wait_until,
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    campaign_file(tmp_path)
    with no_jobs_left(tmp_path):
        yield tmp_path


def record_of(place: Path, experiment: Experiment) -> StatusRecord:
    record = Store(place / "experiments").read(experiment)
    assert isinstance(record, StatusRecord)
    return record


def everything_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_watching_brings_every_run_to_its_end_students_after_teachers(place: Path) -> None:
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 0, done.stderr
    rows = json.loads(kd_hpc("status", "tiny.toml", "--json", cwd=place).stdout)["runs"]
    assert [row["state"] for row in rows] == ["completed"] * 6
    for seed in (0, 1):
        teacher = record_of(place, TEACHER.model_copy(update={"seed": seed})).attempt
        student = record_of(place, STUDENT.model_copy(update={"seed": seed}))
        assert teacher
        assert teacher.ended_at
        assert student.attempt
        assert student.attempt.submitted_at
        assert student.attempt.submitted_at > teacher.ended_at
        assert student.teacher_sha256


def test_a_finished_campaign_is_left_as_it_is(place: Path) -> None:
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    before = {
        path: path.stat().st_mtime_ns for path in (place / "experiments").rglob("*") if "tick-lock" not in path.name
    }
    again = kd_hpc("queue", "tiny.toml", cwd=place)
    assert again.returncode == 0
    assert again.stdout == ""
    runs = {path: when for path, when in before.items() if ".kd" not in path.parts}
    assert runs == {path: path.stat().st_mtime_ns for path in runs}
    assert len(list((place / "experiments/.kd/local").iterdir())) == 6


def test_one_tick_fills_the_slots_and_a_second_tick_submits_none(place: Path) -> None:
    go = place / "go"
    first = kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="1", STANDIN_GO=str(go))
    assert first.stdout.count("submitted ") == 2
    wait_until(lambda: record_of(place, TEACHER).state == State.IN_PROGRESS)
    second = kd_hpc("queue", "tiny.toml", cwd=place)
    assert (second.returncode, second.stdout) == (0, "")
    go.touch()


def test_a_killed_watcher_leaves_jobs_that_its_successor_finishes(place: Path) -> None:
    go = place / "go"
    environment = {**os.environ, "STANDIN_HOLD": "2", "STANDIN_GO": str(go)}
    watcher = subprocess.Popen(
        [KD_HPC, "queue", "tiny.toml", "--watch"],
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: (place / "experiments" / TEACHER.path / "checkpoint.pth").exists())
    watcher.send_signal(signal.SIGKILL)
    watcher.wait()
    token = record_of(place, TEACHER).attempt.token  # type: ignore[union-attr]
    go.touch()
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 0, done.stderr
    attempts = record_of(place, TEACHER).attempts
    assert [attempt.token for attempt in attempts] == [token]


def test_a_killed_trainer_is_explained_and_resumes_from_its_last_epoch(place: Path) -> None:
    go = place / "go"
    kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="3", STANDIN_GO=str(go))
    wait_until(lambda: (place / "experiments" / TEACHER.path / "checkpoint.pth").exists())
    wait_until(lambda: record_of(place, TEACHER).epoch == 2)
    os.kill(_trainer_pid(place, TEACHER), signal.SIGKILL)
    go.touch()
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    first, second = record_of(place, TEACHER).attempts
    assert (first.cause, first.charged, first.start_epoch, first.end_epoch) == ("signal", False, 0, 2), done.stderr
    assert second.start_epoch == 2


def _trainer_pid(place: Path, experiment: Experiment) -> int:
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if (
            any("standin.py" in word for word in words)
            and any(word.startswith(str(place)) for word in words)
            and experiment.student in words
            and str(experiment.seed) in words
        ):
            return int(process.pid)
    raise AssertionError(f"no trainer of {experiment.label} below {place}")


def test_a_run_that_dies_again_and_again_fails_with_cause_and_command(place: Path) -> None:
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="1")
    assert done.returncode == 3
    record = record_of(place, TEACHER)
    assert record.state == State.FAILED
    assert [attempt.charged for attempt in record.attempts] == [True] * 3
    assert "3 jobs in a row" in record.reason
    assert "told to die" in record.reason
    assert f"kd-hpc retry {TEACHER.label}" in done.stderr
    assert Store(place / "experiments").read(STUDENT) is None


def test_a_dry_run_writes_nothing_and_prints_what_the_planner_decided(place: Path) -> None:
    before = everything_below(place)
    done = kd_hpc("queue", "tiny.toml", "--dry-run", "--json", cwd=place)
    assert done.returncode == 0
    assert everything_below(place) == before
    actions = {row["run"]: row["action"] for row in json.loads(done.stdout)["decisions"]}
    assert actions[TEACHER.label] == "submit"
    assert actions[PURE.label] == actions[STUDENT.label] == "wait"


def test_ctrl_c_ends_the_watching_and_not_the_jobs(place: Path) -> None:
    go = place / "go"
    watcher = subprocess.Popen(
        [KD_HPC, "queue", "tiny.toml", "--watch"],
        cwd=place,
        env={**os.environ, "STANDIN_HOLD": "1", "STANDIN_GO": str(go)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(
        lambda: isinstance(r := Store(place / "experiments").read(TEACHER), StatusRecord) and r.state == "in_progress"
    )
    _, stderr = press_ctrl_c(watcher)
    assert watcher.returncode == 130
    assert "Come back with: kd-hpc queue tiny.toml" in stderr
    go.touch()
    wait_until(lambda: record_of(place, TEACHER).state == State.COMPLETED)


def test_two_ticks_at_once_one_works_and_the_other_says_who_does(place: Path) -> None:
    holder = (
        "import sys, pathlib; from kd_hpc.queueing.runner import tick_lock\n"
        "with tick_lock(pathlib.Path('experiments/.kd')): print('held', flush=True); sys.stdin.read()"
    )
    import sys

    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        done = kd_hpc("queue", "tiny.toml", cwd=place)
        process.communicate()
    assert done.returncode == 75
    assert f"process {process.pid}" in done.stderr
    assert kd_hpc("queue", "tiny.toml", "--watch", cwd=place).returncode == 0


BAD_CAMPAIGNS = {
    "unknown key": (CAMPAIGN.replace("epochs = 3", "epoch = 3"), "recipe.epoch"),
    "unknown method": (CAMPAIGN.replace('"logit"', '"logits"'), "logits"),
    "unknown data set": (CAMPAIGN.replace('"Digits"', '"Digit"'), "Digit"),
    "alpha above 1": (CAMPAIGN.replace("[0.5]", "[1.5]"), "alphas"),
    "name with a newline": (CAMPAIGN.replace('"tiny"', '"ti\\nny"'), "name"),
    "name with a slash": (CAMPAIGN.replace('"tiny"', '"ti/ny"'), "name"),
    "value that could change the script": (CAMPAIGN.replace("[resources]", '[resources]\nqueue = "a; rm b"'), "queue"),
    "not TOML": ("name = ", "TOML"),
}


@pytest.mark.parametrize(("text", "word"), BAD_CAMPAIGNS.values(), ids=BAD_CAMPAIGNS)
def test_bad_input_ends_in_one_sentence_and_writes_nothing(place: Path, text: str, word: str) -> None:
    campaign_file(place, text, "bad.toml")
    before = everything_below(place)
    done = kd_hpc("queue", "bad.toml", cwd=place)
    assert done.returncode == 2
    assert "bad.toml" in done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert everything_below(place) == before


@pytest.mark.parametrize("experiments", ["tiny.toml", "tiny.toml/below", "/proc/nobody/writes/here"])
def test_a_folder_that_cannot_be_written_is_a_usage_error(place: Path, experiments: str) -> None:
    before = everything_below(place)
    done = kd_hpc("queue", "tiny.toml", "--experiments", experiments, cwd=place)
    assert done.returncode == 2
    assert experiments in done.stderr
    assert "--experiments" in done.stderr
    assert everything_below(place) == before


def test_a_folder_in_the_place_of_the_campaign_is_a_usage_error(place: Path) -> None:
    done = kd_hpc("queue", "venv", cwd=place)
    assert (done.returncode, "venv is a folder" in done.stderr) == (2, True)


def test_a_placeholder_project_is_refused_but_can_be_planned(place: Path) -> None:
    text = CAMPAIGN.replace('kind = "local"', 'kind = "pbs"').replace(
        "[resources]", '[resources]\nproject = "YOUR-PROJECT-CODE"'
    )
    campaign_file(place, text, "pbs.toml")
    refused = kd_hpc("queue", "pbs.toml", cwd=place)
    assert refused.returncode == 2
    assert 'project = "' in refused.stderr
    assert not (place / "experiments").exists()
    planned = kd_hpc("queue", "pbs.toml", "--dry-run", "--all", cwd=place)
    assert planned.returncode == 0
    assert planned.stdout.count("Digits/") == 6 + 2


def test_a_dry_run_says_each_reason_once_with_how_many_runs_it_is_true_of(place: Path) -> None:
    text = CAMPAIGN.replace("alphas = [0.5]", "alphas = [0.25, 0.5, 0.75]").replace(
        "seeds = [0, 1]", "seeds = [0, 1, 2]"
    )
    campaign_file(place, text, "more.toml")
    lines = kd_hpc("queue", "more.toml", "--dry-run", cwd=place).stdout.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == [
        "submit      2: it has not been trained yet",
        "wait        4: all 2 slots are taken",
        "wait        9: its teacher … is not completed yet (not_started)",
    ]
    assert lines[-1] == "            and 6 more"
    everything = kd_hpc("queue", "more.toml", "--dry-run", "--all", cwd=place).stdout.splitlines()
    assert len(everything) == 1 + 15


def test_the_last_line_of_watching_speaks_of_no_slot_once_all_is_done(place: Path) -> None:
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.stderr.splitlines()[-1] == "6 runs: 6 completed."
