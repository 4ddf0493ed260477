"""What PBS and Slurm have in common: how an answer of a command becomes a snapshot, or one of our errors."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable

from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Snapshot, Unknown
from kd_hpc.schedulers.shell import Answer


def current_user() -> str:
    """Who submits: the owner of this process, whatever LOGNAME says."""
    return pwd.getpwuid(os.getuid()).pw_name


def nothing_known(job_ids: Iterable[str], why: str) -> Snapshot:
    """The snapshot of a look that failed."""
    return Snapshot({job_id: Unknown(why) for job_id in job_ids}, None, unreachable=why)


def require_done(answer: Answer, passed_over: re.Pattern[str]) -> None:
    """Raise SchedulerUnreachable unless each complaint is one of `passed_over`, such as a job that has ended."""
    unexplained = [line for line in answer.complaints if not passed_over.fullmatch(line)]
    if answer.failure or unexplained or (answer.exit_status and not answer.complaints):
        raise SchedulerUnreachable(f"{answer.words}.", remedy="The next tick repeats it.")


def submission_error(answer: Answer, remedy_of_refusal: str | None) -> SubmissionRefused | SubmissionUncertain:
    """A submission's failure. `remedy_of_refusal` is None if the words do not prove that no job was made."""
    if answer.is_missing:
        return SubmissionRefused(
            f"{answer.failure}.", remedy="Run this on a login node, or load the scheduler's module."
        )
    if remedy_of_refusal and not answer.failure:
        return SubmissionRefused(f"{answer.words}.", remedy=remedy_of_refusal)
    without_id = f"{answer.command} exited 0 without a job id: {answer.stdout.strip()[:80]!r}"
    what = answer.words if answer.failure or answer.exit_status else without_id
    return SubmissionUncertain(f"{what}.", remedy="The next tick looks for the job before it submits again.")
