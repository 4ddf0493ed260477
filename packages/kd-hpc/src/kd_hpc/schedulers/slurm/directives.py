"""Options of sbatch that a campaign may add: those that change nothing of how kd-hpc submits and finds its jobs."""

from __future__ import annotations

import re

_FORM = re.compile(r"--([A-Za-z-]+)(?:=(\S+))?|-([A-Za-z])(?: (\S+))?")
_IN_RESOURCES = {
    "partition": "queue",
    "account": "project",
    "time": "walltime",
    "mem": "memory",
    "mem-per-cpu": "memory",
    "cpus-per-task": "cores",
    "gres": "gpus (and gpu_type)",
    "gpus": "gpus (and gpu_type)",
}
_OWN = (
    *("hold", "job-name", "output", "error", "input", "array", "requeue", "no-requeue", "parsable", "quiet", "wrap"),
    *("export", "export-file", "chdir", "comment", "test-only", "open-mode", "wait", "clusters", "nodes", "ntasks"),
    *("exclude", "dependency", "help", "usage", "version"),
)
_LETTERS = {"p": "partition", "A": "account", "t": "time", "c": "cpus-per-task", "G": "gpus", "H": "hold"}
_LETTERS |= {"J": "job-name", "o": "output", "e": "error", "i": "input", "a": "array", "Q": "quiet", "D": "chdir"}
_LETTERS |= {"W": "wait", "M": "clusters", "N": "nodes", "n": "ntasks", "x": "exclude", "d": "dependency"}
_LETTERS |= {"h": "help", "V": "version"}


def refused(directive: str) -> str:
    """Why sbatch is not given `directive`; empty if it is. It takes every beginning of a long option for the option."""
    form = _FORM.fullmatch(directive)
    if not form:
        return "sbatch's options are --name=value or a letter, a space and a value: --qos=long"
    name = form[1] or _LETTERS.get(form[3], "")
    for option, line in _IN_RESOURCES.items():
        if name and option.startswith(name):
            return f"write it as {line} under [resources]"
    if name and any(option.startswith(name) for option in _OWN):
        return "kd-hpc sets it itself, or could not find its jobs with it"
    return ""
