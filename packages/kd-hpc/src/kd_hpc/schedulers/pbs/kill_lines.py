"""What PBS and the hooks it ships write into a job's stderr when they end it.

Sources: src/resmom/mom_main.c ("job killed"), src/hooks/cgroups/pbs_cgroups.PY ("Cgroup ... limit exceeded").
"""

from __future__ import annotations

import re

from kd_hpc.schedulers.base import Exceeded, KillLine, NodeFault, Verdict

_LINE = re.compile(r"=>> PBS: job killed: .+|^Cgroup \w+ limit exceeded: .*", re.MULTILINE)
_LIMIT = re.compile(
    r"job killed: (?P<limit>\w+)(?: job total)? (?P<used>\d+)(?:\.\d+)? ?(?P<unit>kb)?(?: secs)? exceeded limit"
)
_SPOOL = re.compile(r"job killed: spool usage job total \d+KB exceeded limit")
_CGROUP = re.compile(r"Cgroup (?P<what>\w+) limit exceeded")
_CGROUP_LIMITS = {"mem": "mem", "memsw": "vmem", "hugetlb": "hpmem"}


def kill_line(stderr: str) -> KillLine | None:
    """The last of them that tells why; None if there is none."""
    found = [KillLine(verdict, line) for line in _LINE.findall(stderr) if (verdict := _verdict(line))]
    return found[-1] if found else None


def _verdict(line: str) -> Verdict | None:
    if match := _LIMIT.search(line):
        used = int(match["used"]) if match["unit"] else None
        return Exceeded(match["limit"], used)
    if _SPOOL.search(line):
        return Exceeded("spool")
    if match := _CGROUP.search(line):
        return Exceeded(_CGROUP_LIMITS.get(match["what"], match["what"]))
    return NodeFault() if "requested job die" in line else None
