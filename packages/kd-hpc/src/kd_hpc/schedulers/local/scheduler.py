"""The embedded scheduler: processes on this machine. It has no daemon; a job is a folder and its supervisor.

FOLDER/ID/  job.json, script   made whole by one rename; a job without `started` is held
            started            "HOST PID PLACE" of its supervisor, by a hard link: at most one start, whoever releases
            exit               how it ended; written once
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kd_hpc.claim import JOB_ID_VARIABLE
from kd_hpc.disk.files import read_regular
from kd_hpc.disk.process import Place
from kd_hpc.disk.sealed import known_object, object_bytes
from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused
from kd_hpc.schedulers.base import (
    Deleted,
    Exceeded,
    Gone,
    Identity,
    JobSpec,
    KillLine,
    Limits,
    ListedJob,
    Live,
    Observation,
    Phase,
    Snapshot,
    Unknown,
    Verdict,
)
from kd_hpc.schedulers.batch import current_user
from kd_hpc.schedulers.local import supervise
from kd_hpc.schedulers.script import job_script

FOLDER_VARIABLE = "KD_JOB_FOLDER"
"""In the environment of a job and its children: the folder is unlike any other, a pid is not."""
_POLL_SECONDS = 0.1
_VERDICTS: dict[str, Verdict] = {supervise.WALLTIME_EXCEEDED: Exceeded("walltime"), supervise.CANCELLED: Deleted()}
_KILL_LINE = re.compile(r"=>> local: job killed: (\w+) \d+ exceeded limit \d+")


class LocalScheduler:
    """At most `slots` jobs at a time, of whoever uses the same `root` folder; the planner keeps to that number."""

    kind = "local"
    can_avoid_nodes = False
    list_jobs = "kd-hpc status"

    def __init__(self, root: Path, slots: int) -> None:
        self.root = root.absolute()
        self.slots = slots
        self.user = current_user()

    def look(self, job_ids: Sequence[str]) -> Snapshot:
        try:
            alive = {job_id: state for job_id in self._unfinished() if isinstance(state := self._observe(job_id), Live)}
            observations = {job_id: alive.get(job_id) or self._observe(job_id) for job_id in job_ids}
        except OSError as error:
            return Snapshot({}, None, unreachable=f"{self.root} cannot be read: {error.strerror}")
        listed = (ListedJob(job_id, self._name(job_id), alive[job_id]) for job_id in sorted(alive, key=_number))
        identities = {job_id: Identity(name, self.user) for job_id in job_ids if (name := self._name(job_id))}
        return Snapshot(observations, tuple(listed), Limits(self.slots, self.slots), identities=identities)

    def submit_held(self, spec: JobSpec) -> str:
        draft = self.root / f".draft.{spec.token}"
        try:
            draft.mkdir(parents=True)
            (draft / "script").write_text(job_script(spec, JOB_ID_VARIABLE))
            return self._enter(draft, spec)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise SubmissionRefused(
                f"No job could be made in {self.root}: {error.strerror}.", remedy="Free space or fix permissions."
            ) from error

    def release(self, job_ids: Sequence[str]) -> None:
        """Start each held job's supervisor. One that is released twice starts once."""
        for job_id in job_ids:
            if (self.root / job_id / "job.json").exists() and not (self.root / job_id / "started").exists():
                self._start(job_id)

    def cancel(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            folder = self.root / job_id
            if (folder / "job.json").exists() and supervise.claim(str(folder), "cancelled"):
                supervise.keep_exit(str(folder), status=None, comment=supervise.CANCELLED, host="")
                continue
            supervisor, orphans = self._supervisor(job_id), self._processes(job_id)
            for process in [supervisor] if supervisor else orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)

    def wait(self, job_ids: Sequence[str], seconds: float) -> None:
        """Look for the jobs' `exit` files, which costs microseconds, until one appears."""
        waiting = [exit_file for job_id in job_ids if not (exit_file := self.root / job_id / "exit").exists()]
        if len(waiting) < len(job_ids):
            return
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not any(exit_file.exists() for exit_file in waiting):
            time.sleep(min(_POLL_SECONDS, left))

    def _enter(self, draft: Path, spec: JobSpec) -> str:
        """Give the finished draft the next number; its token makes the id unlike any other even if two get that."""
        number = 1 + max((_number(entry.name) for entry in self.root.iterdir()), default=0)
        job_id = f"{number}.{spec.token}"
        (draft / "job.json").write_bytes(object_bytes(self._job(job_id, spec)))
        draft.rename(self.root / job_id)
        return job_id

    def _job(self, job_id: str, spec: JobSpec) -> dict[str, Any]:
        return {
            "name": spec.name,
            "directory": str(spec.directory.absolute()),
            "walltime": spec.resources.walltime_seconds,
            "environment": {JOB_ID_VARIABLE: job_id, FOLDER_VARIABLE: str(self.root / job_id)},
            "submitted_at": datetime.now(UTC).isoformat(),
        }

    def _start(self, job_id: str) -> None:
        try:
            subprocess.run(
                [sys.executable, "-I", "-S", supervise.__file__, str(self.root / job_id), _here()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SchedulerUnreachable(f"Job {job_id} could not be started: {error}.") from error

    def _unfinished(self) -> Iterator[str]:
        if not self.root.is_dir():
            return
        for entry in os.scandir(self.root):
            if _number(entry.name) and not (self.root / entry.name / "exit").exists():
                yield entry.name

    def _observe(self, job_id: str) -> Observation:
        folder = self.root / job_id
        if (ending := _ending(folder)) is not None:
            return _ended(job_id, ending)
        if (started := _read(folder / "started")) is None and (folder / "job.json").exists():
            return Live(Phase.HELD, "held")
        if self._supervisor(job_id) or self._processes(job_id):
            return Live(Phase.RUNNING, "running")
        if started is None:
            return Unknown(f"{folder} is gone, and no process on this machine carries its name")
        host, _, place = _where(started)
        if host != "cancelled" and not (place.is_here or place.is_over):
            return Unknown(f"it was started on {host}, and nobody can see from here whether it runs there")
        if (ending := _ending(folder)) is not None:
            return _ended(job_id, ending)
        return Gone(f"{job_id} was started, and no process of it is left", host=host)

    def _supervisor(self, job_id: str) -> int | None:
        """The pid of the job's supervisor, if the process that has it here and now works in the job's folder."""
        import psutil

        _, pid, place = _where(_read(self.root / job_id / "started") or "")
        if not place.is_here or not pid.isdigit():
            return None
        try:
            return int(pid) if str(self.root / job_id) in psutil.Process(int(pid)).cmdline() else None
        except psutil.Error:
            return None

    def _processes(self, job_id: str) -> list[int]:
        """Every process of this user that carries the job's folder in its environment."""
        import psutil

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(FOLDER_VARIABLE) == str(self.root / job_id):
                    found.append(process.pid)
        return found

    def _name(self, job_id: str) -> str:
        return str(known_object(self.root / job_id / "job.json").get("name", ""))


def _here() -> str:
    """Where the processes that are started here run, as one word."""
    return Place.here().model_dump_json()


def _where(started: str) -> tuple[str, str, Place]:
    """Host, pid and place of a job's supervisor; an earlier version wrote no place, and meant its host by name."""
    host, _, rest = started.partition(" ")
    pid, _, place = rest.partition(" ")
    with contextlib.suppress(ValidationError):
        return host, pid, Place.model_validate_json(place)
    return host, pid, Place.here() if host == os.uname().nodename else Place(boot="")


def _ending(folder: Path) -> dict[str, Any] | None:
    """What the job's supervisor kept of its end; None where it kept nothing, or nothing that is whole."""
    found = known_object(folder / "exit")
    is_whole = {"status", "comment", "host"} <= found.keys() and isinstance(found["status"], int | None)
    return found if is_whole else None


def _ended(job_id: str, ending: dict[str, Any]) -> Gone:
    status = ending["status"]
    if status is None:
        return Gone(f"{job_id} has ended: it was never started", None, ending["comment"], verdict=Deleted(ran=False))
    verdict = _VERDICTS.get(ending["comment"])
    number = status - 128 if 128 < status < 128 + 65 else None
    evidence = f"{job_id} has ended: exit status {status}"
    return Gone(evidence, status, ending["comment"], ending["host"], number, verdict)


def kill_line(stderr: str) -> KillLine | None:
    """What the supervisor wrote when it ended a job at its walltime."""
    found = list(_KILL_LINE.finditer(stderr))
    return KillLine(Exceeded(found[-1][1]), found[-1][0]) if found else None


def _read(path: Path) -> str | None:
    try:
        return read_regular(path).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _number(job_id: str) -> int:
    """The job's number; 0 for what is no job id."""
    number = job_id.partition(".")[0]
    return int(number) if number.isdigit() else 0
