"""The fake execution host: runs one job's script and kills it for walltime or memory, in PBS's recorded words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.hpc.fakepbs import server

RERUNS = 21


def main(job_id: str) -> None:
    site = server.settings()
    with server.state() as content:
        job = dict(content["jobs"][job_id])
        faults = content.setdefault("node_faults", site["node_faults"])
        if faults:
            content["node_faults"] = faults - 1
        launch_faults = content.setdefault("launch_faults", site["launch_faults"])
        if launch_faults:
            content["launch_faults"] = launch_faults - 1
    if faults:
        return end(job_id, "failed", -1)
    if launch_faults or not Path(job["output"]).parent.is_dir():
        return hold_for_good(job_id)
    status, ending = run(job, site)
    end(job_id, ending, status)


def run(job: dict[str, Any], site: dict[str, Any]) -> tuple[int, str]:
    os.umask(int(job.get("umask", "077"), 8))
    mode = "ab" if "d" in job["keep"] else "wb"
    with Path(job["output"]).open(mode) as out, Path(job["error"]).open(mode) as err:
        process = subprocess.Popen(
            ["/bin/bash", job["script"]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=server.HOME,
            env=environment(job),
            start_new_session=True,
        )
        with server.state() as content:
            content["jobs"][job["id"]]["session"] = process.pid
        killed = watch(process, job, site, err)
    if killed:
        return killed
    if process.returncode < 0:
        return 256 - process.returncode, "failed"
    return process.returncode, "finished" if process.returncode == 0 else "failed"


def environment(job: dict[str, Any]) -> dict[str, str]:
    return {
        "HOME": str(server.HOME),
        "PATH": job["path"],
        "USER": job["user"],
        "LOGNAME": job["user"],
        "PBS_JOBID": job["id"],
        "PBS_JOBNAME": job["name"],
        "PBS_ENVIRONMENT": "PBS_BATCH",
        **server.settings().get("environment", {}),
    }


def watch(
    process: subprocess.Popen[bytes], job: dict[str, Any], site: dict[str, Any], err: Any
) -> tuple[int, str] | None:
    started = time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        exceeded = (server.HOME / f"walltime.{job['id']}").exists()
        seconds = time.monotonic() - started + exceeded * (job["walltime"] + 1)
        kilobytes = resident(process.pid)
        if seconds > job["walltime"] + 0.5:
            say(err, f"walltime {int(seconds)} exceeded limit {job['walltime']}")
            kill(process, site["kill_delay"])
            return -29, "exceeded resource walltime"
        if kilobytes > job["memory"]:
            say(err, f"mem {kilobytes}kb exceeded limit {job['memory']}kb")
            kill(process, site["kill_delay"])
            return -27, "exceeded resource mem"
        if (server.HOME / f"delete.{job['id']}").exists():
            kill(process, site["kill_delay"])
            return 271, f"terminated by {job['user']}@vm"
    return None


def say(err: Any, words: str) -> None:
    err.write(f"=>> PBS: job killed: {words}\n".encode())
    err.flush()


def resident(session: int) -> int:
    """Kilobytes of all processes of the session."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                total += int(fields[21]) * 4 if int(fields[3]) == session else 0
            except (OSError, IndexError):
                continue
    return total


def kill(process: subprocess.Popen[bytes], delay: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(delay if number == signal.SIGTERM else 10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def hold_for_good(job_id: str) -> None:
    with server.state() as content:
        held = {"state": "H", "hold": "s", "run_count": RERUNS, "exit_status": -3}
        content["jobs"][job_id] |= {**held, "comment": "job held, too many failed attempts to run"}


def end(job_id: str, ending: str, status: int) -> None:
    with server.state() as content:
        server.finish(content, job_id, ending, status)
        server.start_what_may_run(content)


if __name__ == "__main__":
    main(sys.argv[1])
