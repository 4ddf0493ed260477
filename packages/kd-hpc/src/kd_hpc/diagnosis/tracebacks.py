"""Reading a Python traceback in a job's stderr: which error, with what message, raised where in our own code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_BLOCK = re.compile(r"(?:^|[─━-] ?|Original )Traceback \(most recent call last\)", re.MULTILINE)
_FRAME = re.compile(r'^\s+File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$')
_BOXED_FRAME = re.compile(r"^[│|]\s+(?P<path>/\S+|\S+\.py):(?P<line>\d+) in (?P<function>\S+)")
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_NOT_ITS_OWN = re.compile(
    r"^(?:\s*$|During handling of|The above exception was|Traceback |\[|\d{4}-\d\d-\d\d|=+|-{3,}|srun:|slurmstepd:)"
)
_FOREIGN = ("site-packages", "dist-packages", "/lib/python3", "<frozen ", "<string>")
_LAUNCHER = ("ChildFailedError", "CalledProcessError", "ProcessRaisedException", "ProcessExitedException")
"""What a program that started the one that died says of it."""
_LINES = 6


@dataclass(frozen=True)
class PythonError:
    """`frame`: the innermost frame outside installed libraries, as "file.py, line 59, in get_loaders".

    `message` is the error's own text from where it begins, its first lines if it has several.
    """

    type: str
    message: str
    frame: str

    @property
    def missing_module(self) -> str:
        """The module to install, if that is what is wrong."""
        name = re.match(r"No module named '([\w.]+)'", self.message)
        return name[1].partition(".")[0] if name and self.type == "ModuleNotFoundError" else ""

    def __str__(self) -> str:
        said = f"{self.type}: {self.message}" if self.message else self.type
        return f"{said} ({self.frame})" if self.frame else said


def last_error(text: str) -> PythonError | None:
    """The error of the last traceback in `text` that is not a launcher's word about it.

    None if there is none, or if all are cut off before their error line.
    """
    starts = [match.end() for match in _BLOCK.finditer(text)]
    blocks = (text[start:end] for start, end in pairwise((*starts, len(text))))
    errors = [error for block in blocks if (error := _error(block.splitlines()[1:]))]
    own = [error for error in errors if not error.type.endswith(_LAUNCHER)]
    return (own or errors)[-1] if errors else None


def _error(lines: list[str]) -> PythonError | None:
    """The error at the end of one block."""
    frames: list[re.Match[str]] = []
    for number, line in enumerate(lines):
        if frame := _FRAME.match(line) or _BOXED_FRAME.match(line):
            frames.append(frame)
        elif frames and (error := _ERROR.match(line)):
            return PythonError(error["type"], _message(error["message"] or "", lines[number + 1 :]), _ours(frames))
    return None


def _message(first: str, following: list[str]) -> str:
    """`first` and the lines that belong to it: up to a blank one, or one that somebody else wrote."""
    lines = [first.strip()] if first.strip() else []
    for line in following[:_LINES]:
        is_blank_before = not line.strip() and not lines
        if len(lines) == _LINES or (not is_blank_before and (_NOT_ITS_OWN.match(line) or _ERROR.match(line))):
            break
        lines += [line.strip()] if line.strip() else []
    return " / ".join(lines)


def _ours(frames: list[re.Match[str]]) -> str:
    own = [frame for frame in frames if not any(mark in frame["path"] for mark in _FOREIGN)]
    frame = (own or frames)[-1]
    return f"{frame['path'].rpartition('/')[2]}, line {frame['line']}, in {frame['function']}"
