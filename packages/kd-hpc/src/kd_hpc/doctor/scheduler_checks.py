"""The doctor's questions to a scheduler: is it there, does it remember, what does its queue take, does a job go in."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kd_hpc.doctor.local_checks import Check, Level, Place
from kd_hpc.errors import SchedulerError
from kd_hpc.schedulers import pbs_text
from kd_hpc.schedulers.base import Gone, JobSpec, Limits, Scheduler
from kd_hpc.schedulers.batch import current_user
from kd_hpc.schedulers.job_names import JobName, new_token
from kd_hpc.schedulers.shell import Answer, call

TIMEOUT = 30.0
TEST_TAG = "doctor"


def scheduler_checks(place: Place) -> Iterator[Check]:
    kind = place.campaign.scheduler.kind
    if kind == "pbs":
        yield from _pbs(place)
    elif kind == "slurm":
        yield from _slurm(place)
    else:
        yield Check("scheduler", Level.OK, f"this machine, {place.campaign.scheduler.slots} jobs at a time")


def submission(place: Place, scheduler: Scheduler) -> Check:
    """Submit a held job that would do nothing, find it by its name, and delete it again."""
    token = new_token()
    name = str(JobName(TEST_TAG, token))
    with tempfile.TemporaryDirectory(prefix="kd-doctor-", dir=Path.home()) as folder:
        spec = JobSpec(name, token, ["true"], Path(folder), place.campaign.resources)
        try:
            job_id = scheduler.submit_held(spec)
            listed = scheduler.look([job_id]).listed or ()
            scheduler.cancel([job_id])
            after = scheduler.look([job_id])
        except SchedulerError as error:
            return Check("held test job", Level.WRONG, error.what, error.remedy)
    if name not in (job.name for job in listed):
        return Check("held test job", Level.WRONG, f"{job_id} was not listed as {name}", _where_is(scheduler.kind))
    if job_id in (job.job_id for job in after.listed or ()) and not isinstance(after.of(job_id), Gone):
        return Check(
            "held test job", Level.WARNING, f"{job_id} is still there after its deletion", _where_is(scheduler.kind)
        )
    return Check("held test job", Level.OK, f"{job_id} went in held, was found by its token, and is deleted again")


def _pbs(place: Place) -> Iterator[Check]:
    server = call(["qstat", "-Bf"], timeout=TIMEOUT)
    if not server.is_plain_success:
        yield _unreachable(server, "qstat -B")
        return
    version = _attribute(server.stdout, "pbs_version") or "unknown version"
    yield Check("scheduler", Level.OK, f"PBS {version} answers")
    yield _history(server.stdout)
    queue = place.campaign.resources.queue
    if queue is None:
        yield Check(
            "queue", Level.WARNING, "none named: the server's default", "write queue under [resources]; list: qstat -Q"
        )
        return
    answer = call(["qstat", "-Qf", queue], timeout=TIMEOUT)
    if not answer.is_plain_success:
        yield Check("queue", Level.WRONG, answer.words, "qstat -Q")
        return
    yield _queue(place, queue, answer.stdout)


def _history(server: str) -> Check:
    if _attribute(server, "job_history_enable") == "True":
        return Check("job history", Level.OK, "kept: ended jobs tell their exit status")
    finding = "not kept: causes of death are read from stderr alone"
    return Check("job history", Level.WARNING, finding, "ask the administrators for job_history_enable")


def _queue(place: Place, queue: str, text: str) -> Check:
    closed = [word for word in ("enabled", "started") if _attribute(text, word) == "False"]
    if closed:
        return Check("queue", Level.WRONG, f"{queue} is not {' and not '.join(closed)}", "qstat -Q")
    asked = place.campaign.resources.walltime_seconds
    longest = _seconds(_attribute(text, "resources_max.walltime"))
    if longest is not None and asked > longest:
        finding = f"{queue} takes at most {_attribute(text, 'resources_max.walltime')} of walltime"
        return Check("queue", Level.WRONG, finding, f"shorten walltime under [resources] of {place.file}")
    limits = pbs_text.parse_limits(text, current_user())
    slots = place.campaign.scheduler.slots
    if limits.queued is not None and slots > limits.queued:
        finding = f"{queue}: {_spelled(limits)}; slots = {slots} is more than it takes, the live limit is used"
        return Check("queue", Level.WARNING, finding, f"write slots = {limits.queued} under [scheduler]")
    return Check("queue", Level.OK, f"{queue}: {_spelled(limits)}")


def _slurm(place: Place) -> Iterator[Check]:
    ping = call(["scontrol", "ping"], timeout=TIMEOUT)
    if ping.failure or ping.exit_status or "UP" not in ping.stdout:
        yield _unreachable(ping, "scontrol ping")
        return
    version = call(["sinfo", "--version"], timeout=TIMEOUT).stdout.strip() or "Slurm"
    yield Check("scheduler", Level.OK, f"{version} answers")
    accounts = call(["sacct", "-X", "-P", "-n", "-o", "JobID"], timeout=TIMEOUT)
    if accounts.is_plain_success:
        yield Check("job history", Level.OK, "kept: ended jobs tell their exit status")
    else:
        finding = "no accounts: a job that ended minutes ago tells its cause by stderr alone"
        yield Check("job history", Level.WARNING, finding, "sacct")
    queue = place.campaign.resources.queue
    partition = call(["sinfo", "-h", "-o", "%R %a %l", *(["-p", queue] if queue else [])], timeout=TIMEOUT)
    found = [line for line in partition.stdout.splitlines() if " up " in line]
    if found:
        yield Check("queue", Level.OK, f"partition {found[0].split()[0]}, up, at most {found[0].split()[-1]}")
    else:
        yield Check("queue", Level.WRONG, f"no partition {queue or ''} is up", "sinfo")


def _unreachable(answer: Answer, command: str) -> Check:
    return Check("scheduler", Level.WRONG, f"cannot be asked: {answer.words}", command)


def _attribute(text: str, name: str) -> str:
    match = re.search(rf"^    {re.escape(name)} = (.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _seconds(walltime: str) -> int | None:
    if not re.fullmatch(r"\d+:\d\d:\d\d", walltime):
        return None
    hours, minutes, seconds = map(int, walltime.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def _spelled(limits: Limits) -> str:
    running = "no limit on running jobs" if limits.running is None else f"{limits.running} of your jobs running"
    queued = "no limit on waiting ones" if limits.queued is None else f"{limits.queued} in the system"
    return f"{running}, {queued}"


def _where_is(kind: str) -> str:
    return "qstat -u $USER" if kind == "pbs" else "squeue -u $USER"
