"""Slurm behind the seam.

`squeue` is the one status call. A job it does not show alive is asked for by its own id: only the controller's answer
about that id ends it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from kd_hpc.errors import SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Gone, Identity, JobSpec, ListedJob, Live, Lost, Observation, Snapshot, Unknown
from kd_hpc.schedulers.batch import current_user, nothing_known, require_done, submission_error, without_remarks
from kd_hpc.schedulers.script import job_script
from kd_hpc.schedulers.shell import Answer, call
from kd_hpc.schedulers.slurm import text
from kd_hpc.store import ERRORS, LOGS

TIMEOUT = 60.0
"""Seconds; Slurm's own commands try a silent controller for half a minute or more."""

_PASSED_OVER = re.compile(
    r".*(?:Invalid job id|already completing or completed|already finished|Requested \w+ config).*"
)
_ENVIRONMENT = "HOME,USER,LOGNAME,PATH,LANG"
_NOBODY = Identity("", "")


class SlurmScheduler:
    """One Slurm controller, as the user of this process sees it. It states no limits a user can read cheaply."""

    kind = "slurm"
    can_avoid_nodes = True
    list_jobs = "squeue -u $USER"

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self.user = current_user()

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        """One `squeue` for all this user's jobs, then `scontrol` for each of `job_ids` that is not alive in it."""
        listing = self._call("squeue", "-h", "-u", self.user, "-t", "all", "-o", text.LISTING_FORMAT)
        lines = text.parse_listing(listing.stdout) if listing.is_success else None
        if lines is None:
            return nothing_known(job_ids, listing)
        remarks = tuple(listing.complaints)
        alive = {line.job_id: line for line in lines if line.is_alive}
        asked = {job_id: self._look_at(job_id, remarks) for job_id in dict.fromkeys(job_ids) if job_id not in alive}
        seen: dict[str, Observation] = {job_id: found for job_id, (found, _) in asked.items()}
        seen |= {job_id: alive[job_id].observation() for job_id in job_ids if job_id in alive}
        identities = {job_id: identity for job_id, (_, identity) in asked.items() if identity != _NOBODY}
        left_out = [i for i, (found, who) in asked.items() if isinstance(found, Live) and who.owner == self.user]
        if left_out:
            why = f"squeue did not list {left_out[0]}, which scontrol shows alive"
            return Snapshot(seen, None, unreachable=why, identities=identities)
        listed = tuple(ListedJob(line.job_id, line.name, line.observation(), line.queue) for line in alive.values())
        return Snapshot(seen, listed, identities=identities, remarks=remarks)

    def submit_held(self, spec: JobSpec) -> str:
        """`sbatch --hold`, the script on its standard input."""
        answer = call(sbatch_arguments(spec), timeout=self._timeout, stdin=job_script(spec, "SLURM_JOB_ID"))
        job_id = text.parse_submitted(answer.stdout)
        if job_id and answer.is_success:
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

    def _look_at(self, job_id: str, remarks: Sequence[str]) -> tuple[Observation, Identity]:
        """What is known of one job, and whose it is."""
        if not text.JOB_ID.fullmatch(job_id):
            return Unknown(f"{job_id!r} is no Slurm job id"), _NOBODY
        answer = self._call("scontrol", "-o", "show", "job", job_id)
        if answer.is_success and (seen := text.parse_job(answer.stdout, job_id)):
            return self._unless_back(seen)
        if not answer.failure and without_remarks(answer.complaints, remarks) == [text.NO_SUCH_JOB]:
            return self._from_history(job_id)
        return Unknown(answer.words), _NOBODY

    def _from_history(self, job_id: str) -> tuple[Observation, Identity]:
        """A job the controller has forgotten, which it does some minutes after the end."""
        answer = self._call("sacct", "-X", "-P", "-n", "-j", job_id, "-o", text.HISTORY_FORMAT)
        if answer.is_success and (seen := text.parse_history(answer.stdout, job_id)):
            return self._unless_back(seen)
        return Gone(f"scontrol show job {job_id}: {text.NO_SUCH_JOB}"), _NOBODY

    def _unless_back(self, seen: tuple[Observation, Identity]) -> tuple[Observation, Identity]:
        """A job whose node was lost is gone once that node is back."""
        found, identity = seen
        if isinstance(found, Lost) and found.gone.host:
            node = self._call("scontrol", "-o", "show", "node", found.gone.host)
            if node.is_success and text.answers(node.stdout):
                return found.gone, identity
        return seen


def sbatch_arguments(spec: JobSpec) -> list[str]:
    """The sbatch command line of `spec`: held, never requeued by Slurm, with a named few of the variables here."""
    asks = spec.resources
    directory = spec.directory.absolute()
    arguments = ["sbatch", "--hold", "--parsable", "--no-requeue", "--open-mode=append", f"--export={_ENVIRONMENT}"]
    arguments += [f"--job-name={spec.name}", f"--comment={spec.token}", f"--chdir={directory}"]
    arguments += [f"--output={_literal(directory / LOGS)}", f"--error={_literal(directory / ERRORS)}"]
    arguments += ["--nodes=1", "--ntasks=1", f"--cpus-per-task={asks.cores}", f"--time={asks.walltime}"]
    arguments += [f"--mem={asks.memory.removesuffix('b').upper()}"]
    kind = f"{asks.gpu_type}:" if asks.gpu_type else ""
    arguments += [f"--gres=gpu:{kind}{asks.gpus}"] if asks.gpus else []
    arguments += [f"--partition={asks.queue}"] if asks.queue else []
    arguments += [f"--exclude={','.join(spec.avoid)}"] if spec.avoid else []
    arguments += [f"--account={asks.project}"] if asks.project else []
    return arguments + [word for directive in asks.directives for word in directive.split(" ")]


def _literal(path: os.PathLike[str]) -> str:
    """sbatch replaces %j and the like in file names; %% is a percent sign."""
    return os.fspath(path).replace("%", "%%")


def _submission_error(answer: Answer) -> SubmissionRefused | SubmissionUncertain:
    refused = bool(answer.exit_status) and text.is_refusal(answer.stderr)
    return submission_error(answer, "Mend [resources]; what there is: sinfo -o '%P %l %c %m %G'" if refused else None)
