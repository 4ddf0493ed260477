"""Which process is meant, by more than its pid: pids are used again, machines restart."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class ProcessIdentity(BaseModel):
    """A process for ever: host, boot of that host, pid, and the instant that pid was given out."""

    model_config = ConfigDict(frozen=True)

    host: str
    boot: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of the process that has `pid` here and now; None if none has, or only its corpse is left."""
        started = _started(pid)
        return None if started is None else cls(host=socket.gethostname(), boot=_boot(), pid=pid, started=started)

    @classmethod
    def current(cls) -> Self:
        identity = cls.of(os.getpid())
        assert identity is not None, "a running process exists"
        return identity

    def is_alive(self) -> bool | None:
        """True or False with proof; None where this machine cannot know, because the process ran on another."""
        if self.host != socket.gethostname():
            return None
        return self.boot == _boot() and _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> float | None:
    """Ticks since boot on Linux, which no clock change moves; seconds elsewhere. None if there is no live process."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
