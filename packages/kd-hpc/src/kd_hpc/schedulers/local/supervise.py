"""The program that runs one local job: starts it at most once, ends it at its walltime, keeps its exit status.

Run as `python -I -S supervise.py FOLDER PLACE`, so it imports nothing but the standard library's lightest. It outlives
whoever started it. In FOLDER it reads `job.json` and `script`; `started` is made by a hard link, which exactly one of
many supervisors, or a cancellation, can do; `exit` appears whole when the job has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

WALLTIME_EXCEEDED, CANCELLED = "walltime exceeded", "terminated by kd-hpc cancel"
"""What `exit` says of an end that was not the job's own."""
KILL_DELAY = 10
"""Seconds between SIGTERM and SIGKILL."""


def claim(folder: str, content: str) -> bool:
    """Decide who starts, or forbids, the job in `folder`: True for the first caller ever."""
    draft = f"{folder}/.claim.{os.uname().nodename}.{os.getpid()}"
    with open(draft, "w") as stream:  # noqa: PTH123 - pathlib would double this program's start time
        stream.write(content)
    try:
        os.link(draft, f"{folder}/started")
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)  # noqa: PTH108
    return True


def keep_exit(folder: str, **ending: Any) -> None:
    """Publish the job's ending with its checksum, whole or not at all."""
    from hashlib import sha256  # at the end: a job's start need not wait for it

    canonical = json.dumps(ending, sort_keys=True, separators=(",", ":"))  # as kd_hpc.disk.sealed has it
    draft = f"{folder}/.exit.{os.getpid()}"
    with open(draft, "w") as stream:  # noqa: PTH123
        json.dump({**ending, "checksum": sha256(canonical.encode()).hexdigest()}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, f"{folder}/exit")  # noqa: PTH105


def main(folder: str, place: str) -> None:
    """`place` says where this runs, for those who look for it later."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if not claim(folder, f"{os.uname().nodename} {os.getpid()} {place}"):
        return
    with open(f"{folder}/job.json") as stream:  # noqa: PTH123
        job = json.load(stream)
    _write_to(job["directory"])
    status, comment = _run(folder, job["walltime"], {**os.environ, **job["environment"]})
    keep_exit(folder, status=status, comment=comment, host=os.uname().nodename)


def _write_to(directory: str) -> None:
    os.makedirs(directory, exist_ok=True)  # noqa: PTH103
    for descriptor, name in ((1, "logs"), (2, "errors")):
        opened = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)


def _run(folder: str, walltime: int, environment: dict[str, str]) -> tuple[int, str]:
    """Run the script in a process group of its own; returns its exit status as shells count it, and a comment."""
    began = time.monotonic()
    comments: list[str] = []
    job = os.posix_spawn("/bin/bash", ["/bin/bash", f"{folder}/script"], environment, setpgroup=0)

    def end(why: str) -> None:
        if not comments:
            comments.append(why)
            os.killpg(job, signal.SIGTERM)
            signal.alarm(KILL_DELAY)
        else:
            os.killpg(job, signal.SIGKILL)

    def on_alarm(number: int, frame: FrameType | None) -> None:
        if not comments:
            used = int(time.monotonic() - began)
            os.write(2, f"=>> local: job killed: walltime {used} exceeded limit {walltime}\n".encode())
        end(WALLTIME_EXCEEDED)

    def on_terminate(number: int, frame: FrameType | None) -> None:
        end(CANCELLED)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, on_terminate)
    signal.alarm(walltime)
    code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    return code if code >= 0 else 128 - code, "".join(comments)


if __name__ == "__main__":
    main(*sys.argv[1:])
