"""OpenPBS and PBS Professional, 18 to 23, behind the seam: qselect, qstat, qsub, qrls, qdel.

An exit status of qstat is no verdict: each id that fails overwrites it. What is known of a job is read off its own
record, or off a line of stderr that names it while no other line is left unexplained.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from kd_hpc.errors import SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers import pbs_text
from kd_hpc.schedulers.base import Gone, JobSpec, Limits, ListedJob, Live, Observation, Phase, Snapshot, Unknown
from kd_hpc.schedulers.batch import current_user, nothing_known, require_done, submission_error
from kd_hpc.schedulers.script import job_script
from kd_hpc.schedulers.shell import Answer, call
from kd_hpc.store import ERRORS, LOGS

STATUS_TIMEOUT = 90.0
"""Seconds; a real server took up to 63 s for 300 ids asked twice in a row."""
SUBMIT_TIMEOUT = 60.0
LIMITS_LAST = 600.0
"""Seconds before the queue's limits are read again."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_PASSED_OVER = re.compile(
    r"(?:qrls|qdel): (?:Job has finished|Unknown Job Id)\b.*|(?:qrls|qdel): \S+ Job has finished\b.*"
)
_NO_DIRECT_WRITE = "illegal -k value"
_REFUSALS = {
    1: "Mend the job script.",
    2: "Mend that value under [resources].",
    5: "Report this: kd-hpc mixes two ways of asking for resources.",
    6: "Report this: kd-hpc mixes two ways of asking for resources.",
    8: "Make the script readable.",
    38: "The queue holds as many of your jobs as it takes: wait for the next tick, or lower slots under [scheduler].",
    154: "Report this: the server does not know an attribute that kd-hpc sets.",
    159: "Ask the administrators for access.",
    166: "Mend that value under [resources].",
    170: "Name an existing queue under [resources]; list them with: qstat -Q",
    173: "That queue is closed; name another under [resources]; list them with: qstat -Q",
    174: "You may not use that queue; name another under [resources], or check resources.project.",
    175: "Submit from a machine where your account may submit jobs.",
    187: "The server does not know that resource; mend [resources].",
    188: "Ask for less walltime, cores, memory or GPUs; the queue's limits: qstat -Qf QUEUE",
}
"""Exit statuses with which a server was seen to refuse a job, so that surely none was created."""


class PbsScheduler:
    """One PBS server, as the user of this process sees it. `queue` is where the live limits are read."""

    kind = "pbs"

    def __init__(self, queue: str | None = None, *, timeout: float | None = None) -> None:
        self._queue = queue
        self._status_timeout = timeout or STATUS_TIMEOUT
        self._submit_timeout = timeout or SUBMIT_TIMEOUT
        self._user = current_user()
        self._limits = Limits()
        self._limits_read = -LIMITS_LAST
        self._keeps_history = True
        self._writes_directly = True

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        """`qselect` for this user's live jobs, then one `qstat -f` for them and for `job_ids`."""
        listing = self._call("qselect", "-u", self._user)
        live = pbs_text.parse_ids(listing.stdout) if listing.is_plain_success else None
        if live is None:
            return nothing_known(job_ids, listing.words)
        asked = list(dict.fromkeys([*live, *filter(pbs_text.JOB_ID.fullmatch, job_ids)]))
        answer = self._status(asked) if asked else Answer("qstat")
        if answer.failure:
            return nothing_known(job_ids, answer.words)
        reading = _Reading(answer, asked, live, self._user)
        observations = {job_id: reading.observation(job_id) for job_id in job_ids}
        return Snapshot(observations, reading.listed(), self._live_limits(), reading.unreachable)

    def submit_held(self, spec: JobSpec) -> str:
        """`qsub -h`, the script on its standard input."""
        _require_submittable(spec)
        answer = self._submit(spec)
        if answer.exit_status == 2 and _NO_DIRECT_WRITE in answer.stderr and self._writes_directly:
            self._writes_directly = False
            answer = self._submit(spec)
        job_id = pbs_text.parse_submitted(answer.stdout)
        if job_id and not answer.failure and answer.exit_status == 0:
            return job_id
        raise _submission_error(answer)

    def release(self, job_ids: Sequence[str]) -> None:
        self._for_all("qrls", job_ids)

    def cancel(self, job_ids: Sequence[str]) -> None:
        self._for_all("qdel", job_ids)

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        """Sleep: PBS tells nobody when a job changes, and administrators ask for few polls."""
        time.sleep(max(0.0, seconds))

    def _call(self, *arguments: str) -> Answer:
        return call(arguments, timeout=self._status_timeout)

    def _status(self, asked: Sequence[str]) -> Answer:
        """One status call; a second one without `-x` where the server keeps no history and so answered nothing."""
        if self._keeps_history:
            answer = self._call("qstat", "-x", "-f", *asked)
            if not pbs_text.parse_complaints(answer.complaints, asked).without_history:
                return answer
            self._keeps_history = False
        return self._call("qstat", "-f", *asked)

    def _submit(self, spec: JobSpec) -> Answer:
        arguments = qsub_arguments(spec, direct_write=self._writes_directly)
        return call(arguments, timeout=self._submit_timeout, stdin=job_script(spec))

    def _live_limits(self) -> Limits:
        if self._queue and time.monotonic() - self._limits_read >= LIMITS_LAST:
            answer = self._call("qstat", "-Qf", self._queue)
            if answer.is_plain_success:
                self._limits = pbs_text.parse_limits(answer.stdout, self._user)
                self._limits_read = time.monotonic()
        return self._limits

    def _for_all(self, command: str, job_ids: Sequence[str]) -> None:
        if job_ids:
            require_done(self._call(command, *job_ids), _PASSED_OVER)


class _Reading:
    """The answer of one `qstat -f` that was asked for `asked`, of which `live` were `user`'s just before."""

    def __init__(self, answer: Answer, asked: Sequence[str], live: Sequence[str], user: str) -> None:
        self._answer = answer
        self._live = live
        self._user = user
        self._jobs = pbs_text.parse_jobs(answer.stdout)
        self._complaints = pbs_text.parse_complaints(answer.complaints, asked)
        self._asked_here = [job_id for job_id in asked if job_id not in self._complaints.not_here]

    def observation(self, job_id: str) -> Observation:
        job = self._jobs.get(job_id)
        if job and (seen := job.observation()):
            return seen
        gone = self._complaints.gone.get(job_id)
        if gone and not self._complaints.unexplained:
            return Gone(gone)
        if job_id in self._live and not gone:
            return Live(Phase.OTHER, "qselect lists it; qstat did not show it")
        return Unknown(self._why_unknown(job_id))

    def listed(self) -> tuple[ListedJob, ...] | None:
        """This user's jobs; None if the listing left one out, or if one has no name here: a token could hide in it."""
        if self._left_out():
            return None
        found: list[ListedJob] = []
        for job_id in self._live:
            seen = self.observation(job_id)
            if isinstance(seen, Gone):
                continue
            job = self._jobs.get(job_id)
            if job is None or not isinstance(seen, Live):
                return None
            found.append(ListedJob(job_id, job.name, seen))
        return tuple(found)

    @property
    def unreachable(self) -> str:
        """Why this look is not to be acted on: the listing is not whole, or the server failed to answer for an id."""
        if left_out := self._left_out():
            return f"qselect did not list {left_out[0]}, which qstat shows alive"
        open_question = any(isinstance(self.observation(job_id), Unknown) for job_id in self._asked_here)
        if self.listed() is None or (open_question and self._complaints.unexplained):
            return self._answer.words
        return ""

    def _left_out(self) -> list[str]:
        surely = (Phase.HELD, Phase.WAITING, Phase.RUNNING)
        mine = [job for job in self._jobs.values() if job.owner == self._user and job.job_id not in self._live]
        return [job.job_id for job in mine if isinstance(seen := job.observation(), Live) and seen.phase in surely]

    def _why_unknown(self, job_id: str) -> str:
        if not pbs_text.JOB_ID.fullmatch(job_id):
            return f"{job_id!r} is no PBS job id"
        if line := self._complaints.not_here.get(job_id):
            return f"this server does not take its id: {line}"
        if self._complaints.unexplained:
            return f"the answer holds a line that explains nothing: {self._complaints.unexplained[0]}"
        return "qstat answered without a word about it"


def qsub_arguments(spec: JobSpec, *, direct_write: bool = True) -> list[str]:
    """The qsub command line of `spec`: held, never rerun by the server, no mail, no background qsub, no environment.

    `direct_write`: output appears while the job runs (`-k oed`, from PBS 18.2 or so), not only at its end.
    """
    asks = spec.resources
    directory = spec.directory.absolute()
    chunk = f"select=1:ncpus={asks.cores}:mpiprocs={asks.cores}:mem={asks.memory}"
    chunk += f":ngpus={asks.gpus}" if asks.gpus else ""
    arguments = ["qsub", "-f", "-h", "-r", "n", "-m", "n", "-S", "/bin/bash", "-N", spec.name]
    arguments += ["-o", str(directory / LOGS), "-e", str(directory / ERRORS), "-W", "umask=022"]
    arguments += ["-k", "oed"] if direct_write else []
    arguments += ["-P", asks.project] if asks.project else []
    arguments += ["-q", asks.queue] if asks.queue else []
    return [*arguments, "-l", chunk, "-l", f"walltime={asks.walltime}"]


def _require_submittable(spec: JobSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise SubmissionRefused(f"{spec.name!r} is no job name of at most 15 letters, digits and . _ -")
    if ":" in str(spec.directory.absolute()):
        raise SubmissionRefused(
            f"PBS reads what stands before ':' in {spec.directory} as a host.",
            remedy="Keep experiments in a folder without ':'.",
        )


def _submission_error(answer: Answer) -> SubmissionRefused | SubmissionUncertain:
    said_no = any(line.startswith("qsub: ") for line in answer.complaints)
    return submission_error(answer, _REFUSALS.get(answer.exit_status) if said_no else None)
