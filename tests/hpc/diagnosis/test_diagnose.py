"""Every way a job was seen to die, or can, is told apart and leads to the next command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.diagnosis.tracebacks import last_error
from kd_hpc.job_output import banner, of_attempt
from kd_hpc.schedulers.base import Deleted, Exceeded, Gone
from kd_hpc.schedulers.memory_sizes import in_kilobytes, next_size
from kd_hpc.schedulers.pbs import text as pbs_text
from kd_hpc.schedulers.pbs.job import PbsJob
from kd_hpc.schedulers.slurm import text as slurm_text
from tests.hpc.recorded import answer
from tests.paths import BETA, HPC_FIXTURES

ERRORS = HPC_FIXTURES / "errors"


def errors(name: str) -> str:
    return (ERRORS / name).read_text()


TRACEBACK = """Traceback (most recent call last):
  File "/x/venv/bin/kd-core", line 8, in <module>
    sys.exit(main())
  File "/x/packages/kd-core/src/kd_core/training/loop.py", line 41, in step
    loss.backward()
  File "/x/venv/lib/python3.12/site-packages/torch/_tensor.py", line 626, in backward
    torch.autograd.backward(
"""
GPU = f"{TRACEBACK}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
WORKER = f"{TRACEBACK}RuntimeError: DataLoader worker (pid 41) is killed by signal: Killed. \n"
KILLED_FOR_MEMORY = "=>> PBS: job killed: mem 18430964kb exceeded limit 16777216kb\n"
SLURM_TIME = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-23T18:00:00 DUE TO TIME LIMIT ***\n"
SLURM_OOM = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.\n"
DELETED = "Job run at Mon Nov 23 at 17:40 on (vm:ncpus=1) and terminated by user@vm"


def pbs(status: int | None, comment: str = "") -> Gone:
    """What PBS says of a job that ended so."""
    ending = {} if status is None else {"Exit_status": str(status)}
    seen = PbsJob("7.vm", {"job_state": "F", "comment": comment, "exec_host": "cnode0007/0", **ending}).observation()
    assert isinstance(seen, Gone)
    return seen


def slurm(state: str, exit_code: str, reason: str) -> Gone:
    """What Slurm says of a job that ended so."""
    found = slurm_text.parse_job(f"JobId=7 JobState={state} Reason={reason} ExitCode={exit_code}", "7")
    assert found is not None
    assert isinstance(found[0], Gone)
    return found[0]


@pytest.mark.parametrize(
    ("gone", "stderr", "cause"),
    [
        (None, errors("walltime.txt"), "walltime"),
        (pbs(-29), "", "walltime"),
        (pbs(271), errors("walltime.txt"), "walltime"),
        (pbs(0), errors("walltime.txt"), "walltime"),
        (pbs(None, "Job run at x and exceeded resource walltime"), "", "walltime"),
        (slurm("TIMEOUT", "0:15", "TimeLimit"), "", "walltime"),
        (None, SLURM_TIME, "walltime"),
        (Gone("", 143, signal=15, verdict=Exceeded("walltime")), "", "walltime"),
        (None, "Epoch 3: 45%=>> PBS: job killed: walltime 7238 exceeded limit 7200\n", "walltime"),
        (None, KILLED_FOR_MEMORY, "memory"),
        (pbs(-27), "", "memory"),
        (slurm("OUT_OF_MEMORY", "0:125", "OutOfMemory"), "", "memory"),
        (None, SLURM_OOM, "memory"),
        (pbs(1), WORKER, "memory"),
        (pbs(1), f"{TRACEBACK}MemoryError\n", "memory"),
        (pbs(1), GPU, "gpu_memory"),
        (pbs(1), "kd-core: CUDA out of memory on Tesla V100.\n", "gpu_memory"),
        (pbs(-28), "", "limit"),
        (None, "=>> PBS: job killed: vmem 12kb exceeded limit 5kb\n", "limit"),
        (pbs(1), errors("missing_module.txt"), "exception"),
        (None, errors("missing_module.txt"), "exception"),
        (pbs(2), "kd-core: SVHN is not prepared. Type: kd-core data prepare SVHN\n", "error"),
        (pbs(127), "/var/spool/12.SC: line 9: exec: kd-core: not found\n", "error"),
        (pbs(3), "", "error"),
        *((pbs(status), "", "node") for status in (-1, -2, -3, -4, -5, -10, -16, -21, -22)),
        (slurm("BOOT_FAIL", "0:0", "NodeDown"), "", "node"),
        (pbs(271, DELETED), "Terminated\n", "deleted"),
        (pbs(None, "Not Running and terminated"), "", "deleted"),
        (pbs(None), "", "deleted"),
        (slurm("CANCELLED", "0:0", "None"), "", "deleted"),
        (Gone("", 143, "terminated by kd-hpc cancel", signal=15, verdict=Deleted()), "Terminated\n", "deleted"),
        (pbs(265), "", "signal"),
        (pbs(137), "Killed\n", "signal"),
        (pbs(271), "", "signal"),
        (pbs(0), "superseded: this is ab12 in job 7, on record is cd34 in job 8\n", "superseded"),
        (pbs(0), errors("quiet.txt"), "ended"),
        (Gone("qstat: Unknown Job Id 7.vm"), errors("quiet.txt"), "unknown"),
        (Gone("qstat: Unknown Job Id 7.vm"), errors("download_bar_excerpt.txt"), "unknown"),
        (None, "", "unknown"),
    ],
)
def test_a_death_has_its_cause_a_sentence_and_a_next_step(gone: Gone | None, stderr: str, cause: str) -> None:
    diagnosis = diagnose(gone, stderr, memory="16gb")
    assert diagnosis.cause.name == cause
    assert diagnosis.detail
    assert diagnosis.remedy
    assert (diagnosis.next_memory is not None) == (cause == "memory")


def test_the_recorded_scheduler_is_understood_from_its_answer_alone() -> None:
    for job_id, cause in (("102.vm", "walltime"), ("109.vm", "memory")):
        text = answer("04b_signals_excerpt.txt", f"qstat -x -f {job_id}").stdout
        gone = PbsJob(job_id, pbs_text.parse_jobs(text)[job_id]).observation()
        assert isinstance(gone, Gone)
        assert diagnose(gone, "").cause.name == cause


@pytest.mark.parametrize(
    ("start", "end", "gained", "charged"), [(None, None, 0, True), (0, 0, 0, True), (3, 3, 0, True), (3, 8, 5, False)]
)
def test_a_death_is_charged_only_if_no_epoch_was_gained(
    start: int | None, end: int | None, gained: int, charged: bool
) -> None:
    diagnosis = diagnose(None, errors("walltime.txt"), start_epoch=start, end_epoch=end)
    assert (diagnosis.gained, diagnosis.charged) == (gained, charged)
    assert ("raise walltime" in diagnosis.remedy.lower()) == (gained == 0)


def test_node_faults_and_superseded_jobs_are_never_charged() -> None:
    assert not diagnose(pbs(-1), "").charged
    assert not diagnose(pbs(0), "superseded: by another").charged


def test_an_earlier_attempts_last_words_are_not_this_ones() -> None:
    old, new = f"{banner('old1')}\n{KILLED_FOR_MEMORY}", f"{banner('new2')}\nINFO: loaded\n"
    assert diagnose(pbs(0), old + new, token="new2").cause.name == "ended"
    assert diagnose(pbs(-3), old, token="new2").cause.name == "node"
    assert diagnose(None, old + new, token="old1").cause.name == "memory"
    assert of_attempt(KILLED_FOR_MEMORY, "new2") == KILLED_FOR_MEMORY, "a file of an earlier round has no banners"


def test_a_python_error_is_named_with_message_and_our_own_last_frame() -> None:
    found = last_error(errors("missing_module.txt"))
    assert found is not None
    assert (found.type, found.message) == ("ModuleNotFoundError", "No module named 'scipy'")
    assert found.frame == "data_loader.py, line 59, in get_loaders"
    assert "Install scipy" in diagnose(None, errors("missing_module.txt")).remedy
    inner = last_error(f"{TRACEBACK}ValueError: first\n\nDuring handling of the above:\n\n{TRACEBACK}kd.Bad\n")
    assert inner is not None
    assert (inner.type, inner.message, inner.frame) == ("kd.Bad", "", "loop.py, line 41, in step")
    assert last_error(TRACEBACK) is None


@pytest.mark.parametrize(
    ("asked", "used", "expected"),
    [
        ("16gb", 18430964, "24gb"),
        ("16gb", None, "24gb"),
        ("24gb", None, "32gb"),
        ("800mb", None, "1gb"),
        (None, None, None),
    ],
)
def test_the_next_memory_leaves_room_above_what_was_used(asked: str | None, used: int | None, expected: str) -> None:
    line = f"=>> PBS: job killed: mem {used}kb exceeded limit 16777216kb\n" if used else ""
    assert diagnose(pbs(-27), line, memory=asked).next_memory == expected


@given(st.integers(1, 10**9))
def test_the_next_size_is_enough_and_never_twice_what_is_needed(kilobytes: int) -> None:
    size = in_kilobytes(next_size(kilobytes))
    assert size is not None
    assert size >= 1.25 * kilobytes
    assert size <= max(64 * 1024, 2 * 1.25 * kilobytes)


@given(st.text(), st.one_of(st.none(), st.integers(-400, 400)), st.text(), st.text(max_size=8))
def test_whatever_a_job_left_behind_is_diagnosed(stderr: str, status: int | None, comment: str, token: str) -> None:
    diagnosis = diagnose(Gone(comment, status, comment), stderr, token=token)
    assert len(diagnosis.detail) < 2000 + len(comment) * 2


@pytest.mark.skipif(not BETA.is_dir(), reason="the real files of round beta are not beside this repository")
def test_every_error_file_of_round_beta_is_diagnosed() -> None:
    found = {
        path.parent.relative_to(BETA).as_posix(): diagnose(None, path.read_text()).cause.name
        for path in BETA.rglob("errors")
    }
    assert len(found) == 43
    told = {run: cause for run, cause in found.items() if cause != "unknown"}
    assert {run for run, cause in told.items() if cause == "walltime"} == {
        "TinyImageNet/logit/ResNet112_to_ResNet56/0",
        "TinyImageNet/pure/ResNet112/0",
    }
    assert {run.split("/")[0] for run, cause in told.items() if cause == "exception"} == {"SVHN"}
    assert len(told) == 10, "the other 33 jobs left nothing but the module's greeting, or a download bar"
