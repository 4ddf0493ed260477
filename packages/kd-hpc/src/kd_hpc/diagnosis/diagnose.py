"""Why a dead job died: what it left behind -> cause, sentence, next command. Pure.

Evidence is heard from the most to the least specific: the scheduler's kill line in stderr, its exit status and
comment, the trainer's last words. Exit statuses 128 + n (shells) and 256 + n (PBS) stand for signal n; negative ones
are PBS's own (JOB_EXEC_* in OpenPBS).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from kd_hpc.diagnosis.tracebacks import last_error
from kd_hpc.schedulers.base import Gone, banner
from kd_hpc.schedulers.memory_sizes import in_kilobytes, next_size


class Cause(StrEnum):
    WALLTIME = "walltime"
    MEMORY = "memory"
    GPU_MEMORY = "gpu_memory"
    LIMIT = "limit"
    """Another limit of the scheduler: cpu time, cores, virtual memory."""
    EXCEPTION = "exception"
    """A Python traceback."""
    ERROR = "error"
    """The trainer, or its shell, said in one line why it stops."""
    NODE = "node"
    DELETED = "deleted"
    SIGNAL = "signal"
    SUPERSEDED = "superseded"
    ENDED = "ended"
    """Exit status 0 before the run was complete."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Diagnosis:
    """`charged`: counts against the run's budget of deaths. `next_memory`: the size to ask for, after a memory kill."""

    cause: Cause
    detail: str
    remedy: str
    charged: bool
    gained: int
    next_memory: str | None = None


def diagnose(
    gone: Gone | None,
    stderr_tail: str,
    *,
    start_epoch: int | None = None,
    end_epoch: int | None = None,
    memory: str | None = None,
    token: str = "",
    run: str = "RUN",
) -> Diagnosis:
    """The death of one job; never raises.

    `gone` is the scheduler's word, None where there is none. `stderr_tail` may begin with earlier attempts: with
    `token` only this job's part is heard. Epochs are finished ones at its start and end, None if it never began.
    `memory` is what it asked for ("16gb"); `run` goes into the commands.
    """
    gained = max(0, (end_epoch or 0) - (start_epoch or 0))
    case = _Case(gone or Gone("no word from a scheduler"), of_attempt(stderr_tail, token), gained, memory, run)
    finding = next(finding for witness in _WITNESSES if (finding := witness(case)))
    charged = gained == 0 and finding.cause not in _NEVER_CHARGED
    return Diagnosis(finding.cause, finding.detail, finding.remedy, charged, gained, finding.next_memory)


def of_attempt(output: str, token: str) -> str:
    """The part of a job's output file that the attempt with `token` wrote: all of it in a file without banners."""
    start = re.escape(banner("\0")).replace("\0", r"(\S+)")
    parts = re.split(rf"^{start}$", output, flags=re.MULTILINE)
    if not token or len(parts) == 1:
        return output
    return "".join(text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == token)


@dataclass(frozen=True)
class _Case:
    gone: Gone
    text: str
    gained: int
    memory: str | None
    run: str

    @property
    def goes_on(self) -> str:
        return "Nothing to do: the next kd-hpc queue continues it."

    def after(self, mending: str) -> str:
        return f"{mending}, then: kd-hpc retry {self.run}"


@dataclass(frozen=True)
class _Finding:
    cause: Cause
    detail: str
    remedy: str
    next_memory: str | None = None


_NEVER_CHARGED = (Cause.NODE, Cause.SUPERSEDED)
_PBS_LIMITS = {-24: "ncpus", -25: "ncpus", -26: "vmem", -27: "mem", -28: "cput", -29: "walltime"}
_SLURM_LIMITS = {"TIMEOUT": "walltime", "DEADLINE": "walltime", "OUT_OF_MEMORY": "mem"}
_SLURM_NODE_STATES = ("NODE_FAIL", "BOOT_FAIL")
_SLURM_DELETED_STATES = ("CANCELLED", "PREEMPTED", "REVOKED")

_KILL_LINE = re.compile(r"=>> \w+: job killed: (\w+) (\d+)(?:kb)? exceeded limit \d+(?:kb)?")
_SLURM_TIME_LIMIT = re.compile(r"CANCELLED AT \S+ DUE TO TIME LIMIT")
_SLURM_OOM = re.compile(r"oom[-_]kill", re.IGNORECASE)
_EXCEEDED = re.compile(r"exceeded resource (\w+)|^(walltime) exceeded$")
_SLURM_STATE = re.compile(r"\bJobState=([A-Z_]+)")
_GPU_MEMORY = re.compile(r"^.*(?:CUDA out of memory|CUDA error: out of memory|OutOfMemoryError).*$", re.MULTILINE)
_HOST_MEMORY = re.compile(
    r"^.*(?:\bMemoryError\b|DataLoader worker .* killed by signal: (?:Killed|Bus)).*$", re.MULTILINE
)
_SUPERSEDED = re.compile(r"^superseded: .*$", re.MULTILINE)
_SAID = re.compile(r"^(?:error|fatal|kd-core):?\s", re.IGNORECASE)
_CHATTER = re.compile(r"^(?:INFO|DEBUG|WARNING)\b|^Terminated$|^Killed$|^==? |^[\d.%\s]*$")


def _limit(case: _Case) -> _Finding | None:
    used: int | None = None
    if line := _last(_KILL_LINE, case.text):
        what, used, evidence = line[1], int(line[2]), line[0]
    elif _SLURM_TIME_LIMIT.search(case.text):
        what, evidence = "walltime", "DUE TO TIME LIMIT"
    elif _SLURM_OOM.search(case.text):
        what, evidence = "mem", "oom_kill event"
    elif named := _named_limit(case.gone):
        what, evidence = named, _official(case.gone)
    else:
        return None
    if what == "walltime":
        return _walltime(case, evidence)
    return _memory(case, evidence, used) if what == "mem" else _other_limit(case, what, evidence)


def _named_limit(gone: Gone) -> str | None:
    if gone.exit_status in _PBS_LIMITS:
        return _PBS_LIMITS[gone.exit_status]
    if exceeded := _EXCEEDED.search(gone.comment):
        return exceeded[1] or exceeded[2]
    return _SLURM_LIMITS.get(_slurm_state(gone))


def _walltime(case: _Case, evidence: str) -> _Finding:
    if case.gained:
        detail = f"killed at its walltime after {_epochs(case.gained)} ({evidence})"
        return _Finding(Cause.WALLTIME, detail, case.goes_on)
    detail = f"killed at its walltime before it finished one epoch ({evidence})"
    return _Finding(Cause.WALLTIME, detail, case.after("Raise walltime under [resources] of the campaign"))


def _memory(case: _Case, evidence: str, used: int | None) -> _Finding:
    size = next_size(max(used or 0, in_kilobytes(case.memory) or 0))
    mending = f'Write memory = "{size}"' if size else "Raise memory"
    detail = f"killed for using more memory than it asked for ({evidence})"
    return _Finding(Cause.MEMORY, detail, case.after(f"{mending} under [resources] of the campaign"), size)


def _other_limit(case: _Case, what: str, evidence: str) -> _Finding:
    detail = f"killed for exceeding its limit of {what} ({evidence})"
    return _Finding(Cause.LIMIT, detail, case.after(f"Ask for more {what}, or for cores = what it uses"))


def _node(case: _Case) -> _Finding | None:
    status = case.gone.exit_status
    if (status is None or status >= 0) and _slurm_state(case.gone) not in _SLURM_NODE_STATES:
        return None
    where = f" {case.gone.host}" if case.gone.host else ""
    detail = f"the node{where} could not run it ({_official(case.gone)})"
    return _Finding(Cause.NODE, detail, case.goes_on)


def _gpu_memory(case: _Case) -> _Finding | None:
    if not (line := _last(_GPU_MEMORY, case.text)):
        return None
    mending = "Lower batch_size under [recipe], or ask for a GPU that nobody shares"
    return _Finding(Cause.GPU_MEMORY, f"the GPU's memory is full: {_short(line[0])}", case.after(mending))


def _host_memory(case: _Case) -> _Finding | None:
    line = _last(_HOST_MEMORY, case.text)
    return _memory(case, _short(line[0]), None) if line else None


def _superseded(case: _Case) -> _Finding | None:
    if not (line := _last(_SUPERSEDED, case.text)):
        return None
    return _Finding(Cause.SUPERSEDED, _short(line[0]), "Nothing to do: another job is the one on record.")


def _exception(case: _Case) -> _Finding | None:
    if not (error := last_error(case.text)):
        return None
    mending = (
        f"Install {error.missing_module} into the environment of the jobs" if error.missing_module else "Mend that"
    )
    return _Finding(Cause.EXCEPTION, str(error), case.after(mending))


def _deleted(case: _Case) -> _Finding | None:
    gone = case.gone
    by_whom = re.search(r"terminated(?: by .+)?$", gone.comment)
    never_ran = gone.exit_status is None and "job_state = F" in gone.evidence
    if not by_whom and not never_ran and _slurm_state(gone) not in _SLURM_DELETED_STATES:
        return None
    how = by_whom[0] if by_whom else ""
    when = "before it started" if never_ran else "while it ran"
    detail = f"deleted from the queue {when} ({how or _official(gone)})"
    return _Finding(
        Cause.DELETED, detail, f"If that was you: kd-hpc cancel {case.run}; otherwise {case.goes_on.lower()}"
    )


def _signal(case: _Case) -> _Finding | None:
    status = case.gone.exit_status or 0
    number = status - 256 if status > 256 else status - 128
    if not 0 < number < 65:
        return None
    hint = {9: " (SIGKILL: often a node out of memory)", 15: " (SIGTERM: a deletion, or a walltime on old servers)"}
    detail = f"ended by signal {number}{hint.get(number, _signal_name(number))}, without a word why"
    return _Finding(Cause.SIGNAL, detail, case.goes_on)


def _said(case: _Case) -> _Finding | None:
    lines = [line.strip() for line in re.split(r"[\r\n]+", case.text) if line.strip()]
    words = [line for line in lines if not _CHATTER.match(line)]
    failed = 0 < (case.gone.exit_status or 0) < 128
    said = words[-1] if words and failed else next((line for line in reversed(words) if _SAID.match(line)), "")
    if not said and not failed:
        return None
    detail = f"{_short(said) or 'it said nothing'} ({_official(case.gone)})"
    return _Finding(Cause.ERROR, detail, case.after("Mend that"))


def _ended(case: _Case) -> _Finding | None:
    if case.gone.exit_status != 0:
        return None
    return _Finding(Cause.ENDED, f"it ended by itself ({_official(case.gone)})", case.goes_on)


def _nothing(case: _Case) -> _Finding:
    detail = f"it left no cause behind ({_official(case.gone)})"
    return _Finding(Cause.UNKNOWN, detail, f"Read its files: kd-hpc why {case.run}")


_WITNESSES: tuple[Callable[[_Case], _Finding | None], ...] = (
    _limit,
    _node,
    _gpu_memory,
    _host_memory,
    _superseded,
    _exception,
    _deleted,
    _signal,
    _said,
    _ended,
    _nothing,
)


def _official(gone: Gone) -> str:
    status = "" if gone.exit_status is None else f"exit status {gone.exit_status}"
    return "; ".join(filter(None, (status, gone.comment))) or gone.evidence


def _slurm_state(gone: Gone) -> str:
    state = _SLURM_STATE.search(gone.comment)
    return state[1] if state else ""


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=lambda match: match.start(), default=None)


def _epochs(count: int) -> str:
    return f"{count} new epoch{'s' if count != 1 else ''}"


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _short(text: str, limit: int = 240) -> str:
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
