"""The embedded scheduler with real processes: at most one start, no lost exit status, no child forgotten."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.schedulers.base import Gone, JobSpec, Live, Phase, Unknown
from kd_hpc.schedulers.job_names import new_token
from kd_hpc.schedulers.local.scheduler import LocalScheduler
from tests.hpc.support import job_processes, no_jobs_left, wait_until


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalScheduler]:
    with no_jobs_left(tmp_path):
        yield LocalScheduler(tmp_path / "local", slots=2)


def job(local: LocalScheduler, *command: str, walltime: str = "00:10:00") -> JobSpec:
    directory = local.root.parent / "run"
    directory.mkdir(exist_ok=True)
    token = new_token()
    resources = Resources(walltime=walltime, cores=3)
    return JobSpec(f"kd{token}", token, ["/bin/sh", "-c", "; ".join(command)], directory, resources)


def submit(local: LocalScheduler, *command: str, walltime: str = "00:10:00") -> str:
    return local.submit_held(job(local, *command, walltime=walltime))


def see(local: LocalScheduler, job_id: str) -> Live | Gone | Unknown:
    return local.look([job_id]).of(job_id)


def until_gone(local: LocalScheduler, job_id: str) -> Gone:
    wait_until(lambda: isinstance(see(local, job_id), Gone))
    seen = see(local, job_id)
    assert isinstance(seen, Gone)
    return seen


def waits(local: LocalScheduler) -> str:
    """A command that goes on until `let_go`."""
    return f"while [ ! -e {local.root.parent}/go ]; do sleep 0.05; done"


def let_go(local: LocalScheduler) -> None:
    (local.root.parent / "go").touch()


def output(local: LocalScheduler, name: str = "logs") -> str:
    return (local.root.parent / "run" / name).read_text()


def trainer(local: LocalScheduler, job_id: str) -> int:
    wait_until(lambda: bool(local._processes(job_id)))
    return min(local._processes(job_id))


def supervisor(local: LocalScheduler, job_id: str) -> int:
    wait_until(lambda: local._supervisor(job_id) is not None)
    pid = local._supervisor(job_id)
    assert pid is not None
    return pid


def test_a_submitted_job_is_held_and_listed_and_does_not_run(local: LocalScheduler) -> None:
    spec = job(local, "echo ran")
    job_id = local.submit_held(spec)
    assert not job_processes(local.root.parent)
    snapshot = local.look([job_id])
    assert snapshot.of(job_id) == Live(Phase.HELD, "held")
    assert snapshot.listed is not None
    assert [(found.job_id, found.name) for found in snapshot.listed] == [(job_id, spec.name)]
    assert not (spec.directory / "logs").exists()


def test_a_released_job_runs_with_its_identity_and_leaves_its_exit_status(local: LocalScheduler) -> None:
    spec = job(local, 'echo "$KD_TOKEN $KD_JOB_ID $OMP_NUM_THREADS"', "echo woe >&2", "exit 7")
    job_id = local.submit_held(spec)
    local.release([job_id])
    assert until_gone(local, job_id).exit_status == 7
    assert f"{spec.token} {job_id} 3" in output(local)
    assert output(local, "errors").splitlines()[-1] == "woe"
    assert local.look([]).listed == ()


def test_ids_are_never_used_twice(local: LocalScheduler) -> None:
    ids = [submit(local, "true") for _ in range(3)]
    assert [int(job_id.partition(".")[0]) for job_id in ids] == [1, 2, 3]
    assert len(set(ids)) == 3


def test_many_submitters_at_once_get_different_ids(local: LocalScheduler) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(submit(local, "true"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 12
    listed = local.look([]).listed
    assert listed is not None
    assert {found.job_id for found in listed} == set(ids)


def test_a_job_released_many_times_at_once_starts_once(local: LocalScheduler) -> None:
    job_id = submit(local, "echo started", waits(local))
    threads = [threading.Thread(target=local._start, args=(job_id,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    let_go(local)
    until_gone(local, job_id)
    assert output(local).count("started") == 1


def test_a_job_killed_by_a_signal_is_counted_as_shells_do(local: LocalScheduler) -> None:
    job_id = submit(local, "kill -9 $$")
    local.release([job_id])
    assert until_gone(local, job_id).exit_status == 128 + 9


def test_a_cancelled_held_job_can_never_start(local: LocalScheduler) -> None:
    job_id = submit(local, "echo ran")
    local.cancel([job_id])
    local.release([job_id])
    local._start(job_id)
    gone = until_gone(local, job_id)
    assert gone.exit_status is None
    assert "never started" in gone.evidence
    assert not (local.root.parent / "run" / "logs").exists()


def test_a_cancelled_running_job_ends_by_sigterm_with_its_children(local: LocalScheduler) -> None:
    job_id = submit(local, "sleep 3600 & sleep 3600")
    local.release([job_id])
    wait_until(lambda: len(local._processes(job_id)) >= 2)
    local.cancel([job_id])
    gone = until_gone(local, job_id)
    assert (gone.exit_status, gone.comment) == (128 + 15, "terminated by kd-hpc cancel")
    wait_until(lambda: not local._processes(job_id))


def test_the_walltime_is_enforced_and_said_where_diagnosis_reads_it(local: LocalScheduler) -> None:
    job_id = submit(local, "exec sleep 3600", walltime="00:00:01")
    local.release([job_id])
    gone = until_gone(local, job_id)
    assert gone.comment == "walltime exceeded"
    assert re.search(r"=>> local: job killed: walltime \d+ exceeded limit 1$", output(local, "errors"), re.MULTILINE)


def test_a_job_whose_supervisor_was_killed_is_found_and_then_proven_gone(local: LocalScheduler) -> None:
    job_id = submit(local, "exec sleep 3600")
    local.release([job_id])
    child = trainer(local, job_id)
    os.kill(supervisor(local, job_id), signal.SIGKILL)
    wait_until(lambda: local._supervisor(job_id) is None)
    fresh = LocalScheduler(local.root, slots=2)
    assert see(fresh, job_id) == Live(Phase.RUNNING, "running")
    os.kill(child, signal.SIGKILL)
    gone = until_gone(fresh, job_id)
    assert gone.exit_status is None


def test_another_process_with_the_same_pid_is_not_taken_for_the_job(local: LocalScheduler) -> None:
    job_id = submit(local, "true")
    (local.root / job_id / "started").write_text(f"{os.uname().nodename} {os.getpid()}")
    assert isinstance(see(local, job_id), Gone)


def test_a_job_of_another_machine_is_unknown_here(local: LocalScheduler) -> None:
    job_id = submit(local, "true")
    (local.root / job_id / "started").write_text("elsewhere 17")
    elsewhere = Unknown("it was started on elsewhere, and nobody can see from here whether it runs there")
    assert see(local, job_id) == elsewhere


def test_a_job_whose_folder_vanished_is_alive_while_it_runs_then_unknown(local: LocalScheduler) -> None:
    job_id = submit(local, "exec sleep 3600")
    local.release([job_id])
    child = trainer(local, job_id)
    (local.root / job_id).rename(local.root.parent / "elsewhere")
    assert isinstance(see(local, job_id), Live)
    psutil.Process(child).kill()
    wait_until(lambda: isinstance(see(local, job_id), Unknown))


def test_jobs_survive_the_death_of_the_process_that_released_them(local: LocalScheduler, tmp_path: Path) -> None:
    job_id = submit(local, waits(local), "exit 5")
    program = (
        "import os, signal, pathlib; from kd_hpc.schedulers.local.scheduler import LocalScheduler\n"
        f"LocalScheduler(pathlib.Path({str(local.root)!r}), 2).release([{job_id!r}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program], check=False)
    assert died.returncode == -signal.SIGKILL
    let_go(local)
    assert until_gone(local, job_id).exit_status == 5


class Clock:
    """Time that passes only where somebody sleeps; what is to happen at a time happens then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps = 0
        self.later: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        for when, act in self.later:
            if when <= self.now:
                act()


def test_waiting_ends_soon_after_a_job_and_looks_a_few_times_a_second(
    local: LocalScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, clock = submit(local, "true"), Clock()
    clock.later.append((7.0, (local.root / job_id / "exit").touch))
    monkeypatch.setattr("kd_hpc.schedulers.local.scheduler.time", clock)
    local.wait([job_id], 30)
    assert 7 <= clock.now < 7.2
    assert clock.sleeps <= 10 * clock.now + 1
    local.wait([job_id], 30)
    assert clock.now < 7.2, "a job that has ended is not waited for"
    local.wait([submit(local, "true")], 30)
    assert 37 <= clock.now < 37.5


def test_unfinished_drafts_are_no_jobs(local: LocalScheduler) -> None:
    (local.root / ".draft.abc").mkdir(parents=True)
    assert local.look([]).listed == ()
    assert submit(local, "true").startswith("1.")


def test_nothing_half_written_is_left_where_no_job_could_be_made(local: LocalScheduler) -> None:
    from kd_hpc.errors import SubmissionRefused

    local.root.parent.joinpath("local").touch()
    with pytest.raises(SubmissionRefused):
        submit(local, "true")


def test_exit_files_are_whole_json(local: LocalScheduler) -> None:
    job_id = submit(local, "true")
    local.release([job_id])
    until_gone(local, job_id)
    assert json.loads((local.root / job_id / "exit").read_text())["status"] == 0
    assert not job_processes(local.root.parent)
