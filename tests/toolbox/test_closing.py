"""A round is closed in two places, by real programs behind a real sshd: in any order nothing comes back or is lost."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.support import put_record
from tests.paths import ROOT
from tests.toolbox.chpcsite import STUDENT, TEACHER, Cluster, Laptop, make_run

Close = Callable[..., str]


@pytest.fixture
def close(warm_kd_hpc: Path) -> Close:
    """Do `kd-hpc archive tiny WORDS` in a folder: what it prints, having succeeded."""

    def close(folder: Path, *words: str) -> str:
        done = subprocess.run(
            [warm_kd_hpc, "archive", "tiny", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return close


def runs(folder: Path) -> set[str]:
    return {str(path) for path in Store(folder).run_directories()}


def train(experiments: Path, run: Experiment, token: str, state: State, epoch: int) -> None:
    """What a job with `token` leaves after so many epochs."""
    store = Store(experiments)
    attempt = Attempt(token=token, scheduler="pbs", job_id=f"{token}.sched01", ended_at="2026-01-01T00:00:00Z")
    store.create(run)
    put_record(store, run, StatusRecord(experiment=run, state=state, epoch=epoch, epochs=3, attempts=(attempt,)))
    (store.directory(run) / "metrics.json").write_text("{}")


@pytest.fixture
def pulled(cluster: Cluster, laptop: Laptop) -> None:
    """A round over, its runs on both sides: one completed, one given up."""
    train(cluster.experiments, TEACHER, "kd1", State.COMPLETED, 3)
    train(cluster.experiments, STUDENT, "kd2", State.FAILED, 1)
    assert laptop.tick().returncode == 0
    assert runs(laptop.experiments) == {TEACHER.label, STUDENT.label}


@pytest.mark.usefixtures("pulled")
def test_first_there_then_here_as_the_page_says(cluster: Cluster, laptop: Laptop, close: Close) -> None:
    (cluster.folder / "README.md").write_text("<!-- campaign: begin -->\nold\n<!-- campaign: end -->\n")
    shutil.copy(ROOT / "campaigns/charlie.toml", laptop.root / "campaigns")
    page = (ROOT / "docs/guide/closing-a-round.md").read_text()
    printed = re.findall(r"```sh-(cluster|laptop)\n *\.venv/bin/kd-hpc archive beta (.*)\n *```", page)
    assert [place for place, _ in printed] == ["cluster", "laptop"]
    for place, options in printed:
        close(cluster.folder if place == "cluster" else laptop.root, *options.split())
    assert "old" in (cluster.folder / "README.md").read_text()
    assert not (cluster.folder / "analysis/experiment_tiny/README.md").exists()
    assert laptop.tick().returncode == 0, laptop.log
    assert not runs(laptop.experiments)
    assert not runs(cluster.experiments)
    for root in (cluster.folder, laptop.root):
        assert runs(root / "analysis/experiment_tiny/experiments") == {TEACHER.label, STUDENT.label}


@pytest.mark.usefixtures("pulled")
def test_closed_only_here_nothing_comes_back_and_nothing_is_trained_on(
    cluster: Cluster, laptop: Laptop, close: Close
) -> None:
    close(laptop.root)
    train(cluster.experiments, STUDENT, "kd2", State.COMPLETED, 3)  # somebody went on with it there
    queued = len(cluster.queued)
    assert laptop.tick().returncode == 1
    assert not runs(laptop.experiments)
    assert not list(laptop.experiments.rglob("metrics.json"))
    assert len(cluster.queued) == queued
    assert "not queued: 2 runs of round tiny, which is closed here, still lie in experiments/" in laptop.log
    remedy = re.search(r"\.venv/bin/kd-hpc (archive tiny --runs-only)", laptop.log)
    assert remedy is not None
    close(cluster.folder, "--runs-only")
    assert laptop.tick().returncode == 0, laptop.log
    assert len(cluster.queued) == queued + 1


@pytest.mark.usefixtures("pulled")
def test_a_round_closed_only_there_loses_nothing_and_trains_nothing_twice(
    cluster: Cluster, laptop: Laptop, close: Close
) -> None:
    close(cluster.folder, "--runs-only")
    queued = len(cluster.queued)
    assert laptop.tick().returncode == 1
    assert runs(laptop.experiments) == {TEACHER.label, STUDENT.label}
    assert len(cluster.queued) == queued
    assert "if the round was closed there, close it here, too: .venv/bin/kd-hpc archive NAME" in laptop.log


@pytest.mark.usefixtures("pulled")
def test_runs_of_the_same_name_in_the_next_round_are_brought(cluster: Cluster, laptop: Laptop, close: Close) -> None:
    close(cluster.folder, "--runs-only")
    close(laptop.root)
    train(cluster.experiments, TEACHER, "kd9", State.IN_PROGRESS, 1)
    assert laptop.tick().returncode == 0, laptop.log
    assert runs(laptop.experiments) == {TEACHER.label}


def test_records_that_name_no_job_are_told_apart_by_all_they_say(
    cluster: Cluster, laptop: Laptop, close: Close
) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights")
    assert laptop.tick().returncode == 0
    close(laptop.root)
    assert laptop.tick().returncode == 1
    assert not runs(laptop.experiments)


@pytest.mark.usefixtures("pulled")
def test_moved_first_and_described_later_is_the_same_round(laptop: Laptop, close: Close) -> None:
    assert "README" not in close(laptop.root, "--runs-only", "--dry-run")
    close(laptop.root, "--runs-only")
    again = close(laptop.root, "--runs-only")
    assert again == "the runs of tiny are in analysis/experiment_tiny/experiments; README.md is as it was\n"
    assert "wrote analysis/experiment_tiny/README.md" in close(laptop.root)
