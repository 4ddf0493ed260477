"""What PBS and Slurm have in common: how an answer of a command becomes a snapshot, or one of our errors."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Collection, Iterable

from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Snapshot, Unknown
from kd_hpc.schedulers.shell import Answer

ON_A_LOGIN_NODE = "Run this on a login node, or load the scheduler's module."
_SHELL_REMARK = re.compile(
    r"(?:\S*/)?(?:ba|da|k|z|c|tc)?sh: .*(?:warning|setlocale)\b.*|perl: warning: .*|\s*LC_\w+ = .*|\s*LANGUAGE = .*"
    r"|manpath: .*|.*cannot change locale.*|\s*are supported and installed on your system\..*",
    re.IGNORECASE,
)
"""What shells and their wrappers say of themselves: no scheduler's word."""


def current_user() -> str:
    """Who submits: the owner of this process, whatever LOGNAME says."""
    return pwd.getpwuid(os.getuid()).pw_name


def nothing_known(job_ids: Iterable[str], answer: Answer) -> Snapshot:
    """The snapshot of a look that failed with `answer`."""
    why = answer.words
    observations = {job_id: Unknown(why) for job_id in job_ids}
    return Snapshot(observations, None, unreachable=why, is_missing=answer.is_missing)


def without_remarks(lines: Iterable[str], remarks: Collection[str] = ()) -> list[str]:
    """The lines of stderr that are the scheduler's own, or may be.

    `remarks` stood beside a good answer of the same moment: they belong to the account, not to the question.
    """
    return [line for line in lines if line not in remarks and not _SHELL_REMARK.fullmatch(line)]


def require_done(answer: Answer, passed_over: re.Pattern[str]) -> None:
    """Raise SchedulerUnreachable unless it succeeded, or all that failed is `passed_over`, such as ended jobs."""
    if answer.is_success:
        return
    lines = without_remarks(answer.complaints)
    if answer.failure or not lines or not all(passed_over.fullmatch(line) for line in lines):
        remedy = ON_A_LOGIN_NODE if answer.is_missing else "The next tick repeats it."
        raise SchedulerUnreachable(f"{answer.words}.", remedy=remedy)


def submission_error(answer: Answer, remedy_of_refusal: str | None) -> SubmissionRefused | SubmissionUncertain:
    """A submission's failure. `remedy_of_refusal` is None if the words do not prove that no job was made."""
    if answer.is_missing:
        return SubmissionRefused(f"{answer.failure}.", remedy=ON_A_LOGIN_NODE)
    if remedy_of_refusal and not answer.failure:
        return SubmissionRefused(f"{answer.words}.", remedy=remedy_of_refusal)
    without_id = f"{answer.command} exited 0 without a job id: {answer.stdout.strip()[:80]!r}"
    what = answer.words if answer.failure or answer.exit_status else without_id
    return SubmissionUncertain(f"{what}.", remedy="The next tick looks for the job before it submits again.")
