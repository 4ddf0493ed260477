"""What a run's log and error stream still say: crashes, kills, resumptions, and curves no metrics.json holds.

Earlier rounds wrote metrics.json only at the very end, so the log is all that is left of an unfinished run there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kd_hpc.disk.files import read_tail
from kd_hpc.job_output import of_attempt

MOST_BYTES = 4 << 20
_EPOCH = re.compile(r"^Epoch (\d+)\s*$")
_RESULT = re.compile(r"^(TRAIN|TEST) \| Loss: (\S+) \| Acc: (\S+) \|")
_RESUMED = re.compile(r"^Resuming from epoch (\d+)", re.MULTILINE)
_TOTAL = re.compile(r"^Total execution time: (\d+) seconds", re.MULTILINE)
_ALPHA = re.compile(r"^\{.*'alpha': ([0-9.]+)", re.MULTILINE)
_KILLED = re.compile(r"^(?:=>> PBS: job killed: .*|slurmstepd: error: .* CANCELLED .*)$", re.MULTILINE)
_DATE = re.compile(r"^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d+) (\d\d:\d\d:\d\d) ([A-Z]{1,5}) (\d{4})\s*$", re.MULTILINE)
_HOURS_EAST = {"UTC": 0, "GMT": 0, "SAST": 2, "WET": 0, "CET": 1, "CEST": 2, "EET": 2, "EST": -5, "EDT": -4, "PST": -8}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_GPU = re.compile(r"\b((?:Tesla|NVIDIA|Quadro|GeForce) (?:[A-Z][A-Za-z]* )*[A-Z]*\d[\w-]*)")
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*)?(?:Error|Exception|Interrupt|Stop)\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class LogEvidence:
    """The last attempt as its streams tell it; epochs count from 0 as the log does, `seconds` is its wall time.

    `started` are the date lines, in order, as `date` prints them; a zone of an unknown name counts as UTC.
    """

    crash: str = ""
    killed: str = ""
    resumed_at: int | None = None
    seconds: float | None = None
    alpha: float | None = None
    started: tuple[datetime, ...] = ()
    gpu: str = ""
    epochs: tuple[int, ...] = ()
    curves: dict[str, tuple[float, ...]] | None = None


def read_logs(directory: Path, token: str = "") -> LogEvidence:
    """The evidence in `directory`/logs and /errors (their last 4 MiB); nothing where they are missing.

    With `token`, that of the job alone which has it: earlier attempts wrote there as well, and other runs of the job.
    """
    errors, text = (of_attempt(_tail(directory / name), token) for name in ("errors", "logs"))
    epochs, curves = _curves(text)
    return LogEvidence(
        crash=_crash(errors),
        killed=(_KILLED.findall(errors) or [""])[-1],
        resumed_at=_last_int(_RESUMED, text),
        seconds=_last_int(_TOTAL, text),
        alpha=_number(_ALPHA.findall(text)[-1]) if _ALPHA.search(text) else None,
        started=tuple(moment for match in _DATE.finditer(text) if (moment := _moment(*match.groups())) is not None),
        gpu=(_GPU.findall(text) or [""])[-1].strip(),
        epochs=epochs,
        curves=curves,
    )


def _moment(month: str, day: str, clock: str, zone: str, year: str) -> datetime | None:
    """None for a day that no calendar has."""
    offset = timezone(timedelta(hours=_HOURS_EAST.get(zone, 0)))
    try:
        hour, minute, second = map(int, clock.split(":"))
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=offset)
    except ValueError:
        return None


def _last_int(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.findall(text)
    return int(found[-1]) if found else None


def _crash(errors: str) -> str:
    """The exception line of the last traceback, if there is one."""
    _, mark, after = errors.rpartition("Traceback (most recent call last)")
    return (_EXCEPTION.findall(after) or [""])[-1] if mark else ""


def _curves(text: str) -> tuple[tuple[int, ...], dict[str, tuple[float, ...]]]:
    """Epochs that finished, in order, and their curves; an epoch printed twice counts as it was last."""
    found: dict[int, dict[str, float]] = {}
    epoch = -1
    for line in text.splitlines():
        if match := _EPOCH.match(line):
            epoch = int(match[1])
        elif (match := _RESULT.match(line)) and epoch >= 0:
            split = match[1].lower()
            row = found.setdefault(epoch, {})
            row[f"{split}_loss"], row[f"{split}_acc"] = _number(match[2]), _number(match[3])
    finished = sorted(epoch for epoch, row in found.items() if len(row) == 4)
    names = ("train_loss", "train_acc", "test_loss", "test_acc")
    return tuple(finished), {name: tuple(found[epoch][name] for epoch in finished) for name in names}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _tail(path: Path) -> str:
    try:
        return read_tail(path, MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
