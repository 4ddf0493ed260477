"""What Slurm's words mean; needs no Slurm."""

from __future__ import annotations

import pytest

from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.schedulers.base import Gone, Identity, Live, Lost, Phase
from kd_hpc.schedulers.slurm import text as slurm_text

FAILED = "sbatch: error: Batch job submission failed:"


@pytest.mark.parametrize(
    ("stderr", "refused"),
    [
        (f"sbatch: error: invalid partition specified: x\n{FAILED} Invalid partition name specified\n", True),
        (f"{FAILED} Requested node configuration is not available\n", True),
        (f"{FAILED} Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n", True),
        (f"{FAILED} Invalid account or account/partition combination specified\n", True),
        ("sbatch: error: Invalid --time specification\n", True),
        ("sbatch: unrecognized option '--nosuch'\nTry \"sbatch --help\" for more information\n", True),
        (f"{FAILED} Unable to contact slurm controller (connect failure)\n", False),
        (f"{FAILED} Socket timed out on send/recv operation\n", False),
        (f"{FAILED} Zero Bytes were transmitted or received\n", False),
        (f"{FAILED} Transport endpoint is not connected\n", False),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n", False),
        ("", False),
        ("Killed\n", False),
    ],
)
def test_only_a_controllers_own_no_is_a_refusal(stderr: str, refused: bool) -> None:
    assert slurm_text.is_refusal(stderr) == refused


def job(state: str, reason: str = "None", exit_code: str = "0:0", job_id: str = "7") -> str:
    return (
        f"JobId={job_id} JobName=kd-tok UserId=ann(1000) GroupId=ann(1000) JobState={state} Reason={reason} "
        f"Dependency=(null) Requeue=0 ExitCode={exit_code} NodeList=n1 BatchHost=n1 NumNodes=1\n"
    )


@pytest.mark.parametrize(
    ("state", "reason", "phase"),
    [
        ("PENDING", "JobHeldUser", Phase.HELD),
        ("PENDING", "JobHeldAdmin", Phase.OTHER),
        ("PENDING", "launch_failed_requeued_held", Phase.STUCK),
        ("PENDING", "Resources", Phase.WAITING),
        ("RUNNING", "None", Phase.RUNNING),
        ("COMPLETING", "None", Phase.RUNNING),
        ("SUSPENDED", "None", Phase.OTHER),
        ("A_STATE_OF_TOMORROW", "None", Phase.OTHER),
    ],
)
def test_every_state_that_is_no_end_is_alive(state: str, reason: str, phase: Phase) -> None:
    seen = slurm_text.parse_job(job(state, reason), "7")
    assert seen is not None
    assert isinstance(seen[0], Live)
    assert (seen[0].phase, seen[1]) == (phase, Identity("kd-tok", "ann"))
    (line,) = slurm_text.parse_listing(f"7|{state}|{reason}|a|strange|name|gpu\n") or []
    told = (line.is_alive, line.name, line.queue, line.observation().phase)
    assert told == (True, "a|strange|name", "gpu", phase)


@pytest.mark.parametrize(
    ("state", "exit_code", "status", "cause"),
    [
        ("COMPLETED", "0:0", 0, "ended"),
        ("FAILED", "3:0", 3, "error"),
        ("FAILED", "0:9", 137, "signal"),
        ("TIMEOUT", "0:15", 143, "walltime"),
        ("OUT_OF_MEMORY", "0:125", 253, "memory"),
        ("NODE_FAIL", "0:0", 0, "node"),
        ("BOOT_FAIL", "0:0", 0, "node"),
        ("CANCELLED", "0:15", 143, "deleted"),
        ("PREEMPTED", "0:0", 0, "deleted"),
    ],
)
def test_every_end_has_its_exit_status_and_cause(state: str, exit_code: str, status: int, cause: str) -> None:
    seen = slurm_text.parse_job(job(state, exit_code=exit_code), "7")
    assert seen is not None
    told = slurm_text.parse_history(f"7|{state} by 1000|{exit_code}|n1|ann|kd-tok\n7.batch|FAILED|1:0|n1||\n", "7")
    assert told is not None
    assert seen[1] == told[1] == Identity("kd-tok", "ann")
    for found in (seen[0], told[0]):
        gone = found.gone if isinstance(found, Lost) else found
        assert isinstance(found, Lost) == (state == "NODE_FAIL")
        assert isinstance(gone, Gone)
        assert (gone.exit_status, gone.host) == (status, "n1")
        assert diagnose(gone, "", memory="1gb").cause.name == cause


def test_an_answer_about_another_job_or_none_says_nothing() -> None:
    assert slurm_text.parse_job(job("FAILED", job_id="71"), "7") is None
    assert slurm_text.parse_job("No jobs in the system\n", "7") is None
    assert slurm_text.parse_history("71|FAILED|1:0|n1\n", "7") is None
    assert slurm_text.parse_history("7|RUNNING|0:0|n1\n", "7") is None
    assert slurm_text.parse_listing("slurm_load_jobs error\n") is None
    assert slurm_text.parse_submitted("7;cluster\n") == "7"
    assert slurm_text.parse_submitted("Submitted batch job 7\n") is None
