"""The doctor's questions to a scheduler: is all well with it, and does a job go in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from kd_hpc.errors import SchedulerError
from kd_hpc.schedulers.base import Gone, JobSpec
from kd_hpc.schedulers.job_names import JobName, new_token
from kd_hpc.schedulers.own_jobs import JobRef, OwnJobs
from kd_hpc.schedulers.readiness import Check, Level, Place
from kd_hpc.schedulers.registry import kind

TEST_TAG = "doctor"


def scheduler_checks(place: Place) -> Iterator[Check]:
    return kind(place.campaign.scheduler.kind).checks(place)


def submission(place: Place, scheduler: OwnJobs) -> Check:
    """Submit a held job that would do nothing, find it by its name, and delete it again."""
    token = new_token()
    name = str(JobName(TEST_TAG, token))
    with tempfile.TemporaryDirectory(prefix="kd-doctor-", dir=Path.home()) as folder:
        spec = JobSpec(name, token, ["true"], Path(folder), place.campaign.resources)
        try:
            job = JobRef(scheduler.submit_held(spec), token)
            listed = scheduler.look([job]).listed or ()
            scheduler.cancel([job])
            after = scheduler.look([job])
        except SchedulerError as error:
            return Check("held test job", Level.WRONG, error.what, error.remedy)
    job_id = job.job_id
    if name not in (other.name for other in listed):
        return Check("held test job", Level.WRONG, f"{job_id} was not listed as {name}", scheduler.list_jobs)
    if job_id in (other.job_id for other in after.listed or ()) and not isinstance(after.of(job_id), Gone):
        finding = f"{job_id} is still there after its deletion"
        return Check("held test job", Level.WARNING, finding, scheduler.list_jobs)
    return Check("held test job", Level.OK, f"{job_id} went in held, was found by its token, and is deleted again")
