"""The doctor's questions to Slurm: is it there, does it remember, is the campaign's partition up."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kd_hpc.campaign_file.resources import Resources
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
    asks = place.campaign.resources
    where = ["-p", asks.queue] if asks.queue else []
    partitions = call(["sinfo", "-h", "-o", "%R %a %l %G", *where], timeout=TIMEOUT).stdout
    yield from partition_checks(partitions, asks)


def partition_checks(sinfo: str, asks: Resources) -> Iterator[Check]:
    """What `sinfo -o "%R %a %l %G"` says of the partitions that jobs may go to, held against what they ask for."""
    up = [line.split(maxsplit=3) for line in sinfo.splitlines() if " up " in line]
    if not up:
        yield Check("queue", Level.WRONG, f"no partition {asks.queue or ''} is up", "sinfo")
        return
    yield Check("queue", Level.OK, f"partition {up[0][0]}, up, at most {up[0][2]}")
    if asks.gpus:
        yield _gpus(" ".join(columns[-1] for columns in up), asks)


def _gpus(gres: str, asks: Resources) -> Check:
    types = sorted(set(re.findall(r"\bgpu:([A-Za-z][^:,\s]*):", gres)))
    if not re.search(r"\bgpu\b", gres):
        return Check("GPUs", Level.WRONG, "no node of that partition has any", "sinfo -o '%P %G'")
    if asks.gpu_type and asks.gpu_type not in types:
        there = f"types there: {', '.join(types)}" if types else "they have no types there: leave gpu_type out"
        return Check("GPUs", Level.WRONG, f"no gpu_type {asks.gpu_type}; {there}", "sinfo -o '%P %G'")
    which = f"of type {asks.gpu_type}" if asks.gpu_type else "of any type"
    return Check("GPUs", Level.OK, f"{asks.gpus} a job, {which}")
