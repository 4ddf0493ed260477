"""Slurm behind the seam: squeue, scontrol, sbatch, scancel, and sacct where a site keeps accounts.

`squeue` is the one status call. A job it does not show alive is asked for by its own id: only the controller's answer
about that id ends it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from kd_hpc.errors import SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers import slurm_text
from kd_hpc.schedulers.base import Gone, JobSpec, ListedJob, Live, Observation, Snapshot, Unknown
from kd_hpc.schedulers.batch import current_user, nothing_known, require_done, submission_error
from kd_hpc.schedulers.script import job_script
from kd_hpc.schedulers.shell import Answer, call
from kd_hpc.store import ERRORS, LOGS

TIMEOUT = 60.0
"""Seconds; Slurm's own commands try a silent controller for half a minute or more."""

_PASSED_OVER = re.compile(
    r".*(?:Invalid job id|already completing or completed|already finished|Requested \w+ config).*"
)
_ENVIRONMENT = "HOME,USER,LOGNAME,PATH,LANG"


class SlurmScheduler:
    """One Slurm controller, as the user of this process sees it. It states no limits a user can read cheaply."""

    kind = "slurm"

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._user = current_user()

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        """One `squeue` for all this user's jobs, then `scontrol` for each of `job_ids` that is not alive in it."""
        listing = self._call("squeue", "-h", "-u", self._user, "-t", "all", "-o", slurm_text.LISTING_FORMAT)
        lines = slurm_text.parse_listing(listing.stdout) if listing.is_plain_success else None
        if lines is None:
            return nothing_known(job_ids, listing.words)
        alive = {line.job_id: line for line in lines if line.is_alive}
        asked = {job_id: self._look_at(job_id) for job_id in dict.fromkeys(job_ids) if job_id not in alive}
        observations = {
            job_id: asked[job_id][0] if job_id in asked else alive[job_id].observation() for job_id in job_ids
        }
        for job_id, (seen, owner) in asked.items():
            if isinstance(seen, Live) and owner == self._user:
                why = f"squeue did not list {job_id}, which scontrol shows alive"
                return Snapshot(observations, None, unreachable=why)
        listed = (ListedJob(line.job_id, line.name, line.observation()) for line in alive.values())
        return Snapshot(observations, tuple(listed))

    def submit_held(self, spec: JobSpec) -> str:
        """`sbatch --hold`, the script on its standard input."""
        answer = call(sbatch_arguments(spec), timeout=self._timeout, stdin=job_script(spec))
        job_id = slurm_text.parse_submitted(answer.stdout)
        if job_id and answer.is_plain_success:
            return job_id
        raise _submission_error(answer)

    def release(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            require_done(self._call("scontrol", "release", *job_ids), _PASSED_OVER)

    def cancel(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            require_done(self._call("scancel", *job_ids), _PASSED_OVER)

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        """Sleep: Slurm tells nobody when a job changes, and administrators ask for few polls."""
        time.sleep(max(0.0, seconds))

    def _call(self, *arguments: str) -> Answer:
        return call(arguments, timeout=self._timeout)

    def _look_at(self, job_id: str) -> tuple[Observation, str]:
        """What is known of one job, and whose it is."""
        if not slurm_text.JOB_ID.fullmatch(job_id):
            return Unknown(f"{job_id!r} is no Slurm job id"), ""
        answer = self._call("scontrol", "-o", "show", "job", job_id)
        if answer.is_plain_success and (seen := slurm_text.parse_job(answer.stdout, job_id)):
            return seen
        if not answer.failure and answer.complaints == [slurm_text.NO_SUCH_JOB]:
            return self._from_history(job_id), ""
        return Unknown(answer.words), ""

    def _from_history(self, job_id: str) -> Gone:
        """A job the controller has forgotten, which it does some minutes after the end."""
        answer = self._call("sacct", "-X", "-P", "-n", "-j", job_id, "-o", slurm_text.HISTORY_FORMAT)
        found = slurm_text.parse_history(answer.stdout, job_id) if answer.is_plain_success else None
        return found or Gone(f"scontrol show job {job_id}: {slurm_text.NO_SUCH_JOB}")


def sbatch_arguments(spec: JobSpec) -> list[str]:
    """The sbatch command line of `spec`: held, never requeued by Slurm, with a named few of the variables here."""
    asks = spec.resources
    directory = spec.directory.absolute()
    arguments = ["sbatch", "--hold", "--parsable", "--no-requeue", "--open-mode=append", f"--export={_ENVIRONMENT}"]
    arguments += [f"--job-name={spec.name}", f"--comment={spec.token}", f"--chdir={directory}"]
    arguments += [f"--output={_literal(directory / LOGS)}", f"--error={_literal(directory / ERRORS)}"]
    arguments += ["--nodes=1", "--ntasks=1", f"--cpus-per-task={asks.cores}", f"--time={asks.walltime}"]
    arguments += [f"--mem={asks.memory.removesuffix('b').upper()}"]
    arguments += [f"--gres=gpu:{asks.gpus}"] if asks.gpus else []
    arguments += [f"--partition={asks.queue}"] if asks.queue else []
    return arguments + ([f"--account={asks.project}"] if asks.project else [])


def _literal(path: os.PathLike[str]) -> str:
    """sbatch replaces %j and the like in file names; %% is a percent sign."""
    return os.fspath(path).replace("%", "%%")


def _submission_error(answer: Answer) -> SubmissionRefused | SubmissionUncertain:
    refused = bool(answer.exit_status) and slurm_text.is_refusal(answer.stderr)
    return submission_error(answer, "Mend [resources]; what there is: sinfo -o '%P %l %c %m %G'" if refused else None)
