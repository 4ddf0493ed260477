"""The doctor's questions to PBS: is it there, does it remember, what does the campaign's queue take."""

from __future__ import annotations

from collections.abc import Iterator

from kd_hpc.schedulers.base import Limits
from kd_hpc.schedulers.batch import current_user
from kd_hpc.schedulers.pbs import text
from kd_hpc.schedulers.readiness import Check, Level, Place, remarks_check, unreachable_check
from kd_hpc.schedulers.shell import call

TIMEOUT = 30.0


def checks(place: Place) -> Iterator[Check]:
    server, listing = call(["qstat", "-Bf"], timeout=TIMEOUT), call(["qselect", "-u", current_user()], timeout=TIMEOUT)
    if bad := next((answer for answer in (server, listing) if not answer.is_success), None):
        yield unreachable_check(bad, "qstat -B")
        return
    version = text.attributes(server.stdout).get("pbs_version") or "unknown version"
    yield Check("scheduler", Level.OK, f"PBS {version} answers")
    yield from remarks_check(server, listing)
    yield _history(server.stdout)
    queue = place.campaign.resources.queue
    if queue is None:
        where = "write queue under [resources]; list: qstat -Q"
        yield Check("queue", Level.WARNING, "none named: the server's default", where)
        return
    answer = call(["qstat", "-Qf", queue], timeout=TIMEOUT)
    if answer.is_success:
        yield queue_check(place, queue, answer.stdout, server.stdout)
    else:
        yield Check("queue", Level.WRONG, answer.words, "qstat -Q")


def _history(server: str) -> Check:
    if text.attributes(server).get("job_history_enable") == "True":
        return Check("job history", Level.OK, "kept: ended jobs tell their exit status")
    finding = "not kept: causes of death are read from stderr alone"
    return Check("job history", Level.WARNING, finding, "ask the administrators for job_history_enable")


def queue_check(place: Place, queue: str, of_queue: str, of_server: str = "") -> Check:
    """What `qstat -Qf` (and `-Bf`) say of a queue, held against what the campaign asks of it."""
    found = text.attributes(of_queue)
    closed = [word for word in ("enabled", "started") if found.get(word) == "False"]
    if closed:
        return Check("queue", Level.WRONG, f"{queue} is not {' and not '.join(closed)}", "qstat -Q")
    asked = place.campaign.resources.walltime_seconds
    longest = text.seconds(found.get("resources_max.walltime", ""))
    if longest is not None and asked > longest:
        finding = f"{queue} takes at most {found['resources_max.walltime']} of walltime"
        return Check("queue", Level.WRONG, finding, f"shorten walltime under [resources] of {place.file}")
    limits = text.parse_limits(of_queue, of_server, current_user())
    slots = place.campaign.scheduler.slots
    if limits.queued is not None and slots > limits.queued:
        finding = f"{queue}: {_spelled(limits)}; slots = {slots} is more than it takes, so {limits.queued} are used"
        return Check("queue", Level.WARNING, finding, f"write slots = {limits.queued} under [scheduler]")
    return Check("queue", Level.OK, f"{queue}: {_spelled(limits)}")


def _spelled(limits: Limits) -> str:
    running = "no limit on running jobs" if limits.running is None else f"{limits.running} of your jobs running"
    queued = "no limit on waiting ones" if limits.queued is None else f"{limits.queued} in the system"
    return f"{running}, {queued}"
