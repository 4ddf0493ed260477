"""OpenPBS and PBS Professional behind the seam.

An exit status of qstat is no verdict: each id that fails overwrites it. What is known of a job is read off its own
record, or off a line of stderr that names it while no other line is left unexplained.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence

from kd_hpc.errors import SubmissionRefused
from kd_hpc.schedulers.base import JobSpec, Limits, Lost, Observation, Obstacle, Snapshot
from kd_hpc.schedulers.batch import current_user, nothing_known, require_done, submission_error
from kd_hpc.schedulers.pbs import text
from kd_hpc.schedulers.pbs.reading import Reading
from kd_hpc.schedulers.pbs.refusals import remedy_of_refusal
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
_CHOOSE_QUEUE = "Name another queue under [resources]; list them with: qstat -Q"


class PbsScheduler:
    """One PBS server, as the user of this process sees it. `queue` is where the live limits are read."""

    kind = "pbs"
    can_avoid_nodes = False
    """A select statement names what a node must have, never which node it must not be."""
    list_jobs = "qstat -u $USER"

    def __init__(self, queue: str | None = None, *, timeout: float | None = None) -> None:
        self._queue = queue
        self._status_timeout = timeout or STATUS_TIMEOUT
        self._submit_timeout = timeout or SUBMIT_TIMEOUT
        self.user = current_user()
        self._limits = Limits()
        self._limits_read = -LIMITS_LAST
        self._keeps_history = True
        self._writes_directly = True

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        """`qselect` for this user's live jobs, then one `qstat -f` for them and for `job_ids`."""
        listing = self._call("qselect", "-u", self.user)
        live = text.parse_listing(listing.stdout) if listing.is_success else None
        if live is None:
            return nothing_known(job_ids, listing)
        remarks = tuple(listing.complaints)
        asked = list(dict.fromkeys([*live.ids, *filter(text.JOB_ID.fullmatch, job_ids)]))
        answer = self._status(asked) if asked else Answer("qstat")
        if answer.failure:
            return nothing_known(job_ids, answer)
        reading = Reading(answer, asked, live, self.user, remarks)
        closed = self._read_queue()
        return Snapshot(
            observations=self._found(reading, job_ids),
            listed=reading.listed(),
            limits=self._limits,
            unreachable=reading.unreachable,
            identities=reading.identities,
            closed=closed,
            remarks=remarks,
        )

    def submit_held(self, spec: JobSpec) -> str:
        """`qsub -h`, the script on its standard input."""
        _require_submittable(spec)
        answer = self._submit(spec)
        if answer.exit_status == 2 and _NO_DIRECT_WRITE in answer.stderr and self._writes_directly:
            self._writes_directly = False
            answer = self._submit(spec)
        job_id = text.parse_submitted(answer.stdout)
        if job_id and answer.is_success:
            return job_id
        raise submission_error(answer, remedy_of_refusal(answer))

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
            if not text.parse_complaints(answer.complaints, asked).without_history:
                return answer
            self._keeps_history = False
        return self._call("qstat", "-f", *asked)

    def _found(self, reading: Reading, job_ids: Iterable[str]) -> Mapping[str, Observation]:
        """What `reading` proves; a job whose node was lost is gone once that node is back."""
        seen = {job_id: reading.observation(job_id) for job_id in job_ids}
        lost = {job_id: found for job_id, found in seen.items() if isinstance(found, Lost)}
        hosts = sorted({found.gone.host for found in lost.values() if found.gone.host})
        back = {host for host in hosts if text.answers(self._call("pbsnodes", host).stdout)}
        return {**seen, **{job_id: found.gone for job_id, found in lost.items() if found.gone.host in back}}

    def _submit(self, spec: JobSpec) -> Answer:
        arguments = qsub_arguments(spec, direct_write=self._writes_directly)
        return call(arguments, timeout=self._submit_timeout, stdin=job_script(spec, "PBS_JOBID"))

    def _read_queue(self) -> Obstacle | None:
        """Read the limits, if they are old; why the queue takes nothing, if it does not."""
        if not self._queue or time.monotonic() - self._limits_read < LIMITS_LAST:
            return None
        answer = self._call("qstat", "-Qf", self._queue)
        if not answer.is_success:
            is_unknown = text.is_unknown_queue(answer.complaints)
            return Obstacle(f"PBS knows no queue {self._queue!r}", _CHOOSE_QUEUE) if is_unknown else None
        self._limits = text.parse_limits(answer.stdout, self._call("qstat", "-Bf").stdout, self.user)
        if text.attributes(answer.stdout).get("enabled") == "False":
            return Obstacle(f"queue {self._queue} is closed: it takes no job from anybody", _CHOOSE_QUEUE)
        self._limits_read = time.monotonic()
        return None

    def _for_all(self, command: str, job_ids: Sequence[str]) -> None:
        if job_ids:
            require_done(self._call(command, *job_ids), _PASSED_OVER)


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
    added = [word for directive in asks.directives for word in directive.split(" ")]
    return [*arguments, "-l", chunk, "-l", f"walltime={asks.walltime}", *added]


def _require_submittable(spec: JobSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise SubmissionRefused(f"{spec.name!r} is no job name of at most 15 letters, digits and . _ -")
    if ":" in str(spec.directory.absolute()):
        raise SubmissionRefused(
            f"PBS reads what stands before ':' in {spec.directory} as a host.",
            remedy="Keep experiments in a folder without ':'.",
        )
