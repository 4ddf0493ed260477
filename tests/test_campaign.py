"""A whole campaign with real processes, from its file to its report, through every kind of interruption."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.hpc.support import HANGS
from tests.paths import BIN

CAMPAIGN = """
name = "small"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
methods = ["logit", "rkd"]
alphas = [0.5]
seeds = [0]

[recipe]
epochs = 4
batch_size = 64

[resources]
walltime = "00:10:00"
memory = "2gb"

[scheduler]
kind = "local"
slots = 2
"""
TOGETHER = CAMPAIGN.replace("[recipe]", "students_per_job = 2\n\n[recipe]")
RUNS, EPOCHS = 4, 4
FILES = ["best.pth", "last.pth", "representations.npz"]


def start_queue(folder: Path, campaign: str = CAMPAIGN) -> subprocess.Popen[bytes]:
    (folder / "campaign.toml").write_text(campaign)
    command = [str(BIN / "kd-hpc"), "queue", "campaign.toml", "--watch"]
    with (folder / "queue.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def finish(folder: Path, campaign: str = CAMPAIGN) -> None:
    process = start_queue(folder, campaign)
    assert process.wait(HANGS) == 0, (folder / "queue.log").read_text()


def until_finished(epochs: int, folder: Path, runner: subprocess.Popen[bytes]) -> None:
    """Wait until all runs together have finished so many epochs: a moment that is the same on every machine."""
    at_work(lambda: epochs_finished(folder) >= epochs, folder, runner)


def at_work(until: Callable[[], bool], folder: Path, runner: subprocess.Popen[bytes]) -> None:
    """Wait until that is so, with the runner at work all the time."""
    deadline = time.monotonic() + HANGS
    while not until():
        assert runner.poll() is None or until(), (folder / "queue.log").read_text()
        assert time.monotonic() < deadline, (folder / "queue.log").read_text()
        time.sleep(0.01)


def epochs_finished(folder: Path) -> int:
    records = folder.glob("experiments/Digits/**/status.json")
    return sum(json.loads(path.read_text()).get("epoch", 0) for path in records)


def trainers(folder: Path) -> list[psutil.Process]:
    """The living kd-core processes whose experiments are in `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in process.cwd() or any(str(folder) in word for word in process.cmdline()):
                found += [process] if any(word.endswith("kd-core") for word in process.cmdline()) else []
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """What each run left, but for times and job names."""
    runs = {}
    for status in sorted(folder.glob("experiments/Digits/**/status.json")):
        record = json.loads(status.read_text())
        metrics = json.loads((status.parent / "metrics.json").read_text())
        del metrics["seconds"], metrics["students"], metrics["checksum"]
        runs[str(status.parent.relative_to(folder))] = {
            "state": record["state"],
            "accuracy": record["acc_last"],
            "metrics": metrics,
            **{name: (status.parent / name).read_bytes() for name in FILES},
        }
    return runs


@pytest.fixture(scope="module")
def loaded(warm_programs: Path) -> str:
    """The campaign with jobs that need not load their program, see tests/warm.py: for what kills none of them."""
    return CAMPAIGN.replace("[resources]", f'[resources]\nvenv = "{warm_programs.parent}"')


@pytest.fixture(scope="module")
def undisturbed(loaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, loaded)
    return folder


def test_every_run_completes_and_is_recorded(undisturbed: Path) -> None:
    runs = outcome(undisturbed)
    assert len(runs) == RUNS
    assert {run["state"] for run in runs.values()} == {"completed"}
    assert all(run["accuracy"] > 80 for run in runs.values())


def test_students_started_only_after_their_teacher_had_ended(undisturbed: Path) -> None:
    def record(run: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((undisturbed / "experiments/Digits" / run / "status.json").read_text())
        return content

    teacher_ended = record("pure/ResNet20/0")["attempts"][-1]["ended_at"]
    for method in ("logit", "rkd"):
        student = record(f"{method}/alpha_0.5/ResNet20_to_ResNetBaby/0")
        assert student["attempts"][0]["submitted_at"] > teacher_ended
        assert student["teacher_sha256"] == student["provenance"]["teacher"]["sha256"]


def test_queued_again_nothing_is_trained_again(undisturbed: Path, loaded: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("experiments/Digits/**/*.*")}
    finish(undisturbed, loaded)
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("experiments/Digits/**/*.*")} == before


def test_its_runner_ended_anywhere_and_started_again_it_ends_the_same(
    undisturbed: Path, loaded: str, tmp_path: Path
) -> None:
    for epochs, how in moments_of([signal.SIGKILL, signal.SIGINT] * 2):
        runner = start_queue(tmp_path, loaded)
        until_finished(epochs, tmp_path, runner)
        end(runner, how)
    finish(tmp_path, loaded)
    assert outcome(tmp_path) == outcome(undisturbed)


def test_killed_anywhere_with_its_jobs_and_started_again_it_ends_the_same(undisturbed: Path, tmp_path: Path) -> None:
    for epochs, how in moments_of([signal.SIGKILL] * 2):
        runner = start_queue(tmp_path)
        until_finished(epochs, tmp_path, runner)
        kill_trainers(tmp_path)
        end(runner, how)
    finish(tmp_path)
    assert outcome(tmp_path) == outcome(undisturbed)


def moments_of(signals: list[signal.Signals]) -> Iterator[tuple[int, signal.Signals]]:
    """After how many epochs of all runs each is sent, in their order; none so late that the runner may be done."""
    moments = random.Random(len(signals))
    part = (RUNS - 1) * EPOCHS // len(signals)
    for number, sent in enumerate(signals):
        yield number * part + moments.randrange(part), sent


def end(runner: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Send it to the runner and whatever it started in its group."""
    if runner.poll() is None:
        os.killpg(runner.pid, how)
    runner.wait(HANGS)


def kill_trainers(folder: Path) -> None:
    for process in trainers(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()


def student_record(folder: Path, method: str) -> dict[str, Any]:
    """The record of that method's student; empty before there is one."""
    path = folder / f"experiments/Digits/{method}/alpha_0.5/ResNet20_to_ResNetBaby/0/status.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def test_students_killed_with_their_shared_job_end_as_those_alone(undisturbed: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        runner = start_queue(tmp_path, TOGETHER)
        at_work(lambda: student_record(tmp_path, "logit").get("epoch", 0) >= epochs, tmp_path, runner)  # noqa: B023
        kill_trainers(tmp_path)
        end(runner, signal.SIGKILL)
    finish(tmp_path, TOGETHER)
    assert outcome(tmp_path) == outcome(undisturbed)
    jobs = [[attempt["job_id"] for attempt in student_record(tmp_path, m)["attempts"]] for m in ("logit", "rkd")]
    assert jobs[0] == jobs[1]
    assert len(jobs[0]) == 3
    assert all(len(attempt["runs"]) == 2 for attempt in student_record(tmp_path, "rkd")["attempts"])


def test_the_report_of_a_finished_campaign_has_a_row_for_each_run(
    undisturbed: Path, warm_programs: Path, tmp_path: Path
) -> None:
    words = ["report", str(undisturbed / "experiments"), "-o", str(tmp_path / "report"), "--no-pdf", "--workers", "1"]
    done = subprocess.run([warm_programs / "kd-analysis", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "report/tables/runs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    wanted = {"dataset", "method", "alpha", "teacher", "student", "seed", "state", "verdict", "epochs"}
    assert wanted | {"acc_last", "acc_best"} <= set(rows[0])
    assert len(rows) == RUNS
    recorded = sorted(round(run["accuracy"], 6) for run in outcome(undisturbed).values())
    assert sorted(round(float(row["acc_last"]), 6) for row in rows) == recorded
    assert (tmp_path / "report/report.html").stat().st_size > 10_000
    assert (tmp_path / "report/report.md").is_file()
    assert any((tmp_path / "report/figures").iterdir())
