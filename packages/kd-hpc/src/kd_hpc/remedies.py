"""Commands in messages, as they must be typed for the folder that is looked at."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from kd_hpc.screen.escapes import printable

DEFAULT_FOLDER = Path("experiments")
_COMMAND = re.compile(r"kd-hpc (?:retry|why|cancel|diagnose|status)\b[^;,]*[^;,.?\s]")


def with_folder(remedy: str, root: Path) -> str:
    """`remedy`, on one line, with every command in it made one about runs below `root`, whatever follows it there."""
    remedy = printable(remedy)
    if root == DEFAULT_FOLDER:
        return remedy
    return _COMMAND.sub(lambda command: f"{command[0]} --experiments {shlex.quote(str(root))}", remedy)
