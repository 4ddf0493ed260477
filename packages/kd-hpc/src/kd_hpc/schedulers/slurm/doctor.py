"""The doctor's questions to Slurm: is it there, does it remember, is the campaign's partition up."""

from __future__ import annotations

from collections.abc import Iterator

from kd_hpc.schedulers.batch import current_user
from kd_hpc.schedulers.readiness import Check, Level, Place, remarks_check, unreachable_check
from kd_hpc.schedulers.shell import call

TIMEOUT = 30.0


def checks(place: Place) -> Iterator[Check]:
    ping, listing = (
        call(["scontrol", "ping"], timeout=TIMEOUT),
        call(["squeue", "-h", "-u", current_user()], timeout=TIMEOUT),
    )
    if not ping.is_success or "UP" not in ping.stdout:
        yield unreachable_check(ping, "scontrol ping")
        return
    version = call(["sinfo", "--version"], timeout=TIMEOUT).stdout.strip() or "Slurm"
    yield Check("scheduler", Level.OK, f"{version} answers")
    yield from remarks_check(ping, listing)
    accounts = call(["sacct", "-X", "-P", "-n", "-o", "JobID"], timeout=TIMEOUT)
    if accounts.is_success:
        yield Check("job history", Level.OK, "kept: ended jobs tell their exit status")
    else:
        finding = "no accounts: a job that ended minutes ago tells its cause by stderr alone"
        yield Check("job history", Level.WARNING, finding, "sacct")
    yield _partition(place.campaign.resources.queue)


def _partition(queue: str | None) -> Check:
    partition = call(["sinfo", "-h", "-o", "%R %a %l", *(["-p", queue] if queue else [])], timeout=TIMEOUT)
    found = [line for line in partition.stdout.splitlines() if " up " in line]
    if found:
        return Check("queue", Level.OK, f"partition {found[0].split()[0]}, up, at most {found[0].split()[-1]}")
    return Check("queue", Level.WRONG, f"no partition {queue or ''} is up", "sinfo")
