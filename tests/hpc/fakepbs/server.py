"""The fake PBS server: a state file under a lock, and the jobs in it. No daemon: every command moves the world on.

Words and exit statuses are those recorded on OpenPBS 23.06 (tests/hpc/fixtures/pbs).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

HOME = Path(os.environ["FAKEPBS_HOME"])
DEFAULTS: dict[str, Any] = {
    "server": "sched01",
    "user": "",
    "history": True,
    "kill_delay": 0.3,
    "node_faults": 0,
    "launch_faults": 0,
    "direct_write": True,
    "mom_is_down": False,
    "max_queued": None,
    "queues": {"gpu_1": {"enabled": True, "max_queued": 10, "max_run": 4, "walltime": 43200, "ngpus": 1}},
    "faults": [],
}


def settings() -> dict[str, Any]:
    """What the test wants of this server: DEFAULTS overlaid with control.json."""
    return {**DEFAULTS, **_read(HOME / "control.json", {})}


@contextlib.contextmanager
def state() -> Iterator[dict[str, Any]]:
    """The server's state, alone; written back at the end."""
    with (HOME / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = _read(HOME / "state.json", {"next": 7002781, "jobs": {}, "calls": []})
        yield content
        draft = HOME / "state.json.new"
        draft.write_text(json.dumps(content))
        draft.replace(HOME / "state.json")


def take_fault(command: str) -> dict[str, Any] | None:
    """The next fault meant for this call of `command`, used up; None if it shall work."""
    with (HOME / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control = _read(HOME / "control.json", {})
        for fault in control.get("faults", []):
            if fault["command"] in (command, "*") and fault.get("times", 1) > 0:
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                    (HOME / "control.json").write_text(json.dumps(control))
                    return None
                fault["times"] = fault.get("times", 1) - 1
                (HOME / "control.json").write_text(json.dumps(control))
                return dict(fault)
    return None


def hang() -> NoReturn:
    """Never answer. Whoever waits can see that, and need not find out by waiting."""
    (HOME / f"hangs.{os.getpid()}").touch()
    while True:
        time.sleep(3600)


def now() -> str:
    return time.strftime("%a %b %d %H:%M:%S %Y")


def start_what_may_run(content: dict[str, Any]) -> None:
    """Start queued jobs, oldest first, up to each queue's max_run; the rest say why they wait."""
    site = settings()
    for job in content["jobs"].values():
        if job["state"] != "Q":
            continue
        running = [other for other in content["jobs"].values() if other["state"] in "RE"]
        limit = site["queues"][job["queue"]].get("max_run")
        if limit is not None and sum(other["queue"] == job["queue"] for other in running) >= limit:
            job["comment"] = f"Not Running: User has reached queue {job['queue']} running job limit."
        else:
            _start(job)


def _start(job: dict[str, Any]) -> None:
    job |= {"state": "R", "stime": now(), "exec_host": "vm/0", "comment": f"Job run at {now()[:16]} on (vm:ncpus=1)"}
    job["run_count"] = job.get("run_count", 0) + 1
    mom = Path(__file__).with_name("mom.py")
    with (HOME / "mom.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-S", str(mom), job["id"]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    job["mom"] = process.pid
    process.returncode = 0  # its parent ends before it does: nobody here shall wait for it


def finish(content: dict[str, Any], job_id: str, ending: str, exit_status: int | None) -> None:
    """Put a job into history, or forget it where the server keeps none."""
    job = content["jobs"][job_id]
    if not settings()["history"]:
        del content["jobs"][job_id]
        return
    job["state"] = "F"
    if exit_status is not None:
        job["exit_status"] = exit_status
    if job.get("comment") and ending:
        job["comment"] += f" and {ending}"


def _read(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return otherwise
