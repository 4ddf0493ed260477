"""Options of qsub that a campaign may add: those that change nothing of how kd-hpc submits and finds its jobs."""

from __future__ import annotations

import re

_FORM = re.compile(r"-([A-Za-z])(?: (\S+))?")
_FREE = "AaclMmpW"
_IN_RESOURCES = {"q": "queue", "P": "project"}
_ASKED_FOR = {"walltime": "walltime", "ncpus": "cores", "mpiprocs": "cores", "mem": "memory", "ngpus": "gpus"}
_OWN_VALUES = {"l": ("select", "nodes", "nodect"), "W": ("block", "umask", "sandbox", "interactive")}


def refused(directive: str) -> str:
    """Why qsub is not given `directive`; empty if it is."""
    form = _FORM.fullmatch(directive)
    if not form:
        return "qsub's options are one letter, a space and a value: -W group_list=physics"
    letter, value = form[1], (form[2] or "")
    names = [part.partition("=")[0] for part in value.split(",")]
    if line := _IN_RESOURCES.get(letter) or next((_ASKED_FOR[name] for name in names if name in _ASKED_FOR), ""):
        return f"write it as {line} under [resources]"
    if letter not in _FREE or set(names) & set(_OWN_VALUES.get(letter, ())):
        return "kd-hpc sets it itself, or could not find its jobs with it"
    return "" if value else f"-{letter} needs a value"
