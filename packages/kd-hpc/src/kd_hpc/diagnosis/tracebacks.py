"""Reading a Python traceback in a job's stderr: which error, with what message, raised where in our own code."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"Traceback \(most recent call last\):$", re.MULTILINE)
_FRAME = re.compile(r'^\s+File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$')
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_FOREIGN = ("site-packages", "dist-packages", "/lib/python3", "<frozen ", "<string>")


@dataclass(frozen=True)
class PythonError:
    """`frame`: the innermost frame outside installed libraries, as "file.py, line 59, in get_loaders"."""

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
    """The error of the last traceback in `text`; None if there is none, or if it is cut off before its error line."""
    starts = [match.end() for match in _BLOCK.finditer(text)]
    if not starts:
        return None
    frames: list[re.Match[str]] = []
    for line in text[starts[-1] :].splitlines()[1:]:
        if frame := _FRAME.match(line):
            frames.append(frame)
        elif frames and (error := _ERROR.match(line)):
            return PythonError(error["type"], error["message"] or "", _ours(frames))
    return None


def _ours(frames: list[re.Match[str]]) -> str:
    own = [frame for frame in frames if not any(mark in frame["path"] for mark in _FOREIGN)]
    frame = (own or frames)[-1]
    return f"{frame['path'].rpartition('/')[2]}, line {frame['line']}, in {frame['function']}"
