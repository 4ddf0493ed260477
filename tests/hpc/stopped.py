"""A program for tests: stops an owner of a run before its first, second, ... system call, lets another take the run
over, and wakes the first; prints for each stop what became of it, as JSON.

    python -m tests.hpc.stopped DEED WORK [CRIME]

In WORK a run directory is made anew for each stop. DEED names what the owner does (see DEEDS), CRIME what is broken in
the fence (see CRIMES), so that one can see that it would be noticed. The stop is made by
ptrace: the process stands where it stands, with everything that it has open and has already read.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kd_hpc.disk.process
import kd_hpc.fence
from kd_hpc.claim import JobIdentity, claimed
from kd_hpc.disk.files import replace
from kd_hpc.errors import KdError
from kd_hpc.experiment import Experiment
from kd_hpc.fence import Fence
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import BEST, CHECKPOINT, METRICS, OpenRun, Store

RUN = Experiment(dataset="Digits", student="ResNet20", seed=0)
FIRST, SECOND = JobIdentity("first000", "1.sim"), JobIdentity("second00", "2.sim")
TRACEME, SETOPTIONS, SYSCALL, DETACH, GET_SYSCALL_INFO = 0, 0x4200, 24, 17, 0x420E
SYSCALLS_ARE_MARKED, END_WITH_TRACER = 1, 0x100000
GETSID = {"x86_64": 124, "aarch64": 156}.get(platform.machine())
"""The number of a system call that the owner makes nowhere else: it marks where the deed begins and ends."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


def publish_record(run: OpenRun, record: StatusRecord) -> None:
    run.write(record.model_copy(update={"epoch": 7}))


def publish_epoch(run: OpenRun, record: StatusRecord) -> None:
    fence, folder = run.fence, run.directory
    fence.publish(folder / METRICS, b"old curves")
    fence.keep(folder / CHECKPOINT, folder / "checkpoint.previous.pth")
    fence.publish(folder / CHECKPOINT, b"old checkpoint" * 9000)
    run.write(record.model_copy(update={"epoch": 8}))


def clear_up(run: OpenRun, record: StatusRecord) -> None:
    run.fence.set_aside(run.directory / CHECKPOINT, "it is damaged")
    run.fence.remove(run.directory / BEST)
    run.fence.publish(run.directory / "another.pth", b"what the successor does not have")


def do_nothing(run: OpenRun, record: StatusRecord) -> None:
    """Only begin and end."""


DEEDS: dict[str, Callable[[OpenRun, StatusRecord], None]] = {
    "record": publish_record,
    "epoch": publish_epoch,
    "clear": clear_up,
    "claim": do_nothing,
}


def drafts_beside(path: Path, write: Any, *, drafts: Path) -> None:
    replace(path, write, drafts=path.parent)


def remove_at_once(self: Fence, path: Path) -> None:
    path.unlink(missing_ok=True)


CRIMES: dict[str, tuple[Any, str, Any]] = {
    "files are not made in the room": (kd_hpc.fence, "replace", drafts_beside),
    "rooms of earlier owners stay": (kd_hpc.fence, "_revoke", lambda *words, **more: None),
    "files are removed where they are": (Fence, "remove", remove_at_once),
}


def main() -> None:
    deed, work, *crime = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    if crime:
        setattr(*CRIMES[crime[0]])
    stops: list[dict[str, Any]] = []
    while not stops or stops[-1]["stopped"]:
        store = prepared(work / str(len(stops)))
        stops.append(stop_before(len(stops) + 1, deed, store))
        shutil.rmtree(store.root)
    print(json.dumps(stops))


def prepared(root: Path) -> Store:
    """A run whose record names the first job."""
    store = Store(root)
    attempt = Attempt(token=FIRST.token, scheduler="pbs", job_id=FIRST.job_id)
    record = store.write(RUN, StatusRecord(state=State.QUEUED, attempts=(attempt,)))
    with store.opened(RUN) as run:
        run.fence.publish(run.directory / CHECKPOINT, b"first checkpoint")
        run.fence.publish(run.directory / BEST, b"first best")
        run.write(record.model_copy(update={"state": State.IN_PROGRESS, "epoch": 6}))
    return store


def stop_before(number: int, deed: str, store: Store) -> dict[str, Any]:
    """Let a first owner come to its call `number`, a second one take over, and the first go on to its end."""
    owner = os.fork()
    if owner == 0:
        be_first_owner(deed, store)
    os.waitpid(owner, 0)
    libc.ptrace(SETOPTIONS, owner, None, SYSCALLS_ARE_MARKED | END_WITH_TRACER)
    stopped = run_to_call(owner, number)
    if not stopped:
        return {"stopped": False, "code": os.waitstatus_to_exitcode(os.waitpid(owner, 0)[1])}
    second = take_over(store)
    before = snapshot(store.directory(RUN))
    libc.ptrace(DETACH, owner, None, None)
    code = os.waitstatus_to_exitcode(os.waitpid(owner, 0)[1])
    return {"stopped": True, "code": code, "taken": second, "changed": changes(before, snapshot(store.directory(RUN)))}


def be_first_owner(deed: str, store: Store) -> None:
    """On a machine that nobody else can see into; ends with 0 if it did its deed, with 3 if it was superseded."""
    kd_hpc.disk.process._here = lambda: {"machine": "a", "hardware": "", "boot": "a", "namespace": "a"}  # type: ignore[assignment]
    libc.ptrace(TRACEME, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
    code = 1
    try:
        if deed == "claim":
            os.getsid(0)
        with claimed(store, RUN, FIRST) as claim:
            assert claim.run is not None
            if deed != "claim":
                os.getsid(0)
            DEEDS[deed](claim.run, claim.record)
            if deed != "claim":
                os.getsid(0)
        if deed == "claim":
            os.getsid(0)
        code = 0
    except KdError:
        code = 3
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    os._exit(code)


def run_to_call(owner: int, number: int) -> bool:
    """True if `owner` now stands before the call `number` of its deed; False if it ended before."""
    counting, count = False, 0
    while True:
        libc.ptrace(SYSCALL, owner, None, None)
        status = os.waitpid(owner, os.WUNTRACED)[1]
        if os.WIFEXITED(status):
            raise AssertionError("the owner ended without its second mark")
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80 or (call := entered(owner)) is None:
            continue
        if call == GETSID:
            counting = not counting
            if not counting:
                libc.ptrace(DETACH, owner, None, None)
                return False
        elif counting:
            count += 1
            if count == number:
                return True


def entered(process: int) -> int | None:
    """The number of the system call that `process` is about to make; None where it has just made one."""
    information = (ctypes.c_uint64 * 11)()
    libc.ptrace(GET_SYSCALL_INFO, process, ctypes.sizeof(information), ctypes.addressof(information))
    return int(information[3]) if information[0] & 0xFF == 1 else None


def take_over(store: Store) -> str:
    """As the runner and the next job do: the record names another job, which claims the run and trains an epoch."""
    before = store.read(RUN)
    assert isinstance(before, StatusRecord)
    if before.state.is_final:
        return "done"
    attempts = (*before.attempts, Attempt(number=2, token=SECOND.token, scheduler="pbs", job_id=SECOND.job_id))
    queued = before.model_copy(update={"state": State.QUEUED, "attempts": attempts})
    store.write(RUN, queued, may_take_from=lambda owner: True)
    with claimed(store, RUN, SECOND) as claim:
        assert claim.run is not None
        publish_second(claim.run.fence, claim.run, claim.record)
    return "taken"


def publish_second(fence: Fence, run: OpenRun, record: StatusRecord) -> None:
    fence.publish(run.directory / METRICS, b"new curves")
    fence.publish(run.directory / CHECKPOINT, b"new checkpoint")
    fence.publish(run.directory / BEST, b"new best")
    run.write(record.model_copy(update={"state": State.IN_PROGRESS, "epoch": 9}))


def snapshot(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file below `root`; folders say that they are some."""
    found = {}
    for path in root.rglob("*"):
        content = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = content
    return found


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted({path for path, _ in before.items() ^ after.items()})


if __name__ == "__main__":
    main()
