"""Which process is meant, by more than its pid and never by its host's name.

Pids are used again, machines restart, laptops are renamed, login nodes share files, containers share a kernel.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

_NETWORK_CARDS = Path("/sys/class/net")
_PERMANENT = "0"


class Place(BaseModel):
    """Where processes run: those of one place can be told apart by pid and start, those of two cannot.

    `machine` and `hardware` are hashes of the installation's id and of its network cards' own addresses, `boot` names
    the running kernel, `namespace` whose pids are meant. Empty: not known.
    """

    model_config = ConfigDict(frozen=True)

    machine: str = ""
    hardware: str = ""
    boot: str
    namespace: str | None = None
    """None where an earlier version wrote it, which knew no more than a host's name and its boot."""

    @classmethod
    def here(cls) -> Place:
        return Place(**_here())

    @property
    def is_here(self) -> bool:
        """True with proof: this process sees the processes of that place."""
        here = Place.here()
        ours = bool(self.namespace) and (self.machine, self.namespace) == (here.machine, here.namespace)
        return bool(self.boot) and self.boot == here.boot and ours

    @property
    def is_over(self) -> bool:
        """True with proof that nothing of that place can run any more: the very same machine was restarted since."""
        here = Place.here()
        same_machine = bool(self.hardware) and (self.machine, self.hardware) == (here.machine, here.hardware)
        return same_machine and bool(self.boot and here.boot) and self.boot != here.boot


class ProcessIdentity(Place):
    """A process for ever: its place, its pid, and when that pid was given out. `host` is for people."""

    host: str
    pid: int = Field(gt=0, lt=2**31)
    started: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of the process that has `pid` here and now; None if none has, or only its corpse is left."""
        started = _started(pid)
        if started is None:
            return None
        return cls(host=socket.gethostname(), **_here(), pid=pid, started=started)

    @classmethod
    def current(cls) -> Self:
        identity = cls.of(os.getpid())
        assert identity is not None, "a running process exists"
        return identity

    def is_alive(self) -> bool | None:
        """True or False with proof; None where this process cannot know."""
        as_before = self.namespace is None and (self.host, self.boot) == (socket.gethostname(), Place.here().boot)
        if self.is_here or (as_before and self.boot):
            return _is_alive(self.pid, self.started)
        return False if self.is_over else None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@cache
def _here() -> dict[str, str]:
    """What all processes that this one can see have in common."""
    return {"machine": _machine(), "hardware": _hardware(), "boot": _boot(), "namespace": _namespace()}


def _machine() -> str:
    for file in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        if identity := _content(file):
            return _hash(identity)  # the id itself is nobody else's business
    return ""


def _hardware() -> str:
    """Of the addresses that were burnt into network cards: images of one disk, and containers, differ or have none."""
    cards = sorted(_NETWORK_CARDS.glob("*")) if _NETWORK_CARDS.is_dir() else []
    burnt_in = [card for card in cards if (card / "device").exists()]
    burnt_in = [card for card in burnt_in if _content(card / "addr_assign_type") == _PERMANENT]
    addresses = [address for card in burnt_in if _is_universal(address := _content(card / "address"))]
    return _hash(" ".join(sorted(addresses))) if addresses else ""


def _is_universal(address: str) -> bool:
    """False for an address that a hypervisor or a person made up: others may have the same."""
    first = address.partition(":")[0]
    return len(first) == 2 and not int(first, 16) & 0b10 and address.strip("0:") != ""


def _boot() -> str:
    return _content(Path("/proc/sys/kernel/random/boot_id")) or _ask("sysctl", "-n", "kern.bootsessionuuid")


def _namespace() -> str:
    """Whose pids, and whose clock of starts, this process sees; empty where that cannot be known."""
    if not Path("/proc/self").exists():
        return "all"  # a system that has none
    try:
        pids = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return ""
    clock = Path("/proc/self/ns/time")  # since Linux 5.6
    return f"{pids}+{clock.readlink()}" if clock.is_symlink() else pids


def _is_alive(pid: int, started: float) -> bool | None:
    """`started` tells the process from a later one with its pid; None where the system will not show it."""
    found = _started(pid)
    if found is not None:
        return found == started
    return None if _is_hidden(pid) else False


def _is_hidden(pid: int) -> bool:
    """True if there is a process with `pid`, alive, of which no more can be seen."""
    if _stat(pid):
        return False  # only its corpse is left
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _started(pid: int) -> float | None:
    """Ticks since boot on Linux, which no clock change moves; seconds elsewhere. None if there is no live process."""
    if Path("/proc/self/stat").exists():
        fields = _stat(pid)
        if not fields or (fields[0] in (b"Z", b"X") and int(fields[17]) <= 1):
            return None
        return float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat behind the name, the state first; empty if there is no such file to read."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _content(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _ask(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _hash(text: str) -> str:
    return hashlib.sha256(f"kd {text}".encode()).hexdigest()[:16]
