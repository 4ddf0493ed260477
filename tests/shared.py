"""What the workers of one session make once between them: the first that needs it makes it, and the others wait."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def session() -> int:
    """The process that lives as long as the session does."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """`folder`, made by the first worker that needs it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of somebody who failed
            make(folder)
            done.touch()
    return folder
