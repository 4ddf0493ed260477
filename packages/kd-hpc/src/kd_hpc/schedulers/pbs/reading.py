"""What one `qstat -f` proves, beside the `qselect` just before it."""

from __future__ import annotations

from collections.abc import Sequence

from kd_hpc.schedulers.base import Gone, Identity, ListedJob, Live, Observation, Phase, Unknown
from kd_hpc.schedulers.batch import without_remarks
from kd_hpc.schedulers.pbs import text
from kd_hpc.schedulers.pbs.job import PbsJob
from kd_hpc.schedulers.shell import Answer

_SURELY_ALIVE = (Phase.HELD, Phase.WAITING, Phase.RUNNING)


class Reading:
    """The answer of one `qstat -f` that was asked for `asked`, of which `listing` was `user`'s just before.

    `remarks` stood on stderr beside that good listing, so they say nothing here either.
    """

    def __init__(
        self, answer: Answer, asked: Sequence[str], listing: text.Listing, user: str, remarks: Sequence[str] = ()
    ) -> None:
        self._answer = answer
        self._listing = listing
        self._user = user
        self._jobs = {job_id: PbsJob(job_id, found) for job_id, found in text.parse_jobs(answer.stdout).items()}
        self._complaints = text.parse_complaints(without_remarks(answer.complaints, remarks), asked)
        self._asked_here = [job_id for job_id in asked if job_id not in self._complaints.not_here]

    @property
    def identities(self) -> dict[str, Identity]:
        return {job_id: job.identity for job_id, job in self._jobs.items()}

    def observation(self, job_id: str) -> Observation:
        job = self._jobs.get(job_id)
        if job and (seen := job.observation()):
            return seen
        gone = self._complaints.gone.get(job_id)
        if gone and not self._complaints.unexplained:
            return Gone(gone)
        if job_id in self._listing.ids and not gone:
            return Live(Phase.OTHER, "qselect lists it; qstat did not show it")
        return Unknown(self._why_unknown(job_id))

    def listed(self) -> tuple[ListedJob, ...] | None:
        """This user's jobs; None if the listing left one out, or if one has no name here: a token could hide in it.

        An id of another form than ours hides none: such a job is counted, whatever it is.
        """
        if self._left_out():
            return None
        found = [ListedJob(job_id, "", Live(Phase.OTHER, "an id of another form")) for job_id in self._listing.foreign]
        for job_id in self._listing.ids:
            seen = self.observation(job_id)
            if isinstance(seen, Gone):
                continue
            job = self._jobs.get(job_id)
            if job is None or not isinstance(seen, Live):
                return None
            found.append(ListedJob(job_id, job.name, seen, job.queue))
        return tuple(found)

    @property
    def unreachable(self) -> str:
        """Why this look is not to be acted on: the listing is not whole, or the server failed to answer for an id."""
        if left_out := self._left_out():
            return f"qselect did not list {left_out[0]}, which qstat shows alive"
        open_question = any(type(self.observation(job_id)) is Unknown for job_id in self._asked_here)
        if self.listed() is None or (open_question and self._complaints.unexplained):
            return self._answer.words
        return ""

    def _left_out(self) -> list[str]:
        mine = [job for job in self._jobs.values() if job.owner == self._user and job.job_id not in self._listing.ids]
        seen = {job.job_id: job.observation() for job in mine}
        return [job_id for job_id, live in seen.items() if isinstance(live, Live) and live.phase in _SURELY_ALIVE]

    def _why_unknown(self, job_id: str) -> str:
        if not text.JOB_ID.fullmatch(job_id):
            return f"{job_id!r} is no PBS job id"
        if line := self._complaints.not_here.get(job_id):
            return f"this server does not take its id: {line}"
        if self._complaints.unexplained:
            return f"the answer holds a line that explains nothing: {self._complaints.unexplained[0]}"
        return "qstat answered without a word about it"
