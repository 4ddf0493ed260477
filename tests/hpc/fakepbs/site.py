"""A fake PBS site for one test: its commands on the PATH, its settings, its faults, what it holds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hpc.support import HANGS
from tests.paths import ROOT

COMMANDS = ("qsub", "qstat", "qselect", "qrls", "qhold", "qdel", "pbsnodes")


class FakePbs:
    """`home` must also be the FAKEPBS_HOME of whoever calls the commands in `bin`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        for command in COMMANDS:
            self.install(command)

    def install(self, command: str) -> None:
        program = self.bin / command
        program.write_text(
            f"#!{sys.executable} -S\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from tests.hpc.fakepbs import client\nclient.main()\n"
        )
        program.chmod(0o755)

    def uninstall(self, command: str) -> None:
        (self.bin / command).unlink()

    @property
    def environment(self) -> dict[str, str]:
        return {"FAKEPBS_HOME": str(self.home), "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def set(self, **settings: Any) -> None:
        """Change what kind of server this is: history, server, queues, kill_delay, node_faults, direct_write."""
        with self._locked():
            (self.home / "control.json").write_text(json.dumps({**self._control(), **settings}))

    def fault(self, command: str, fault: str, **details: Any) -> None:
        """Make the next call of `command` ("*" for any) suffer `fault`; details: times, after, exit, stdout, ..."""
        faults = [*self._control().get("faults", []), {"command": command, "fault": fault, **details}]
        self.set(faults=faults)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return dict(self._state()["jobs"])

    @property
    def calls(self) -> list[list[str]]:
        """Every command line the server saw, oldest first."""
        return list(self._state()["calls"])

    def wait_for(self, job_id: str, state: str, seconds: float = HANGS) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (job := self.jobs.get(job_id)) and job["state"] == state:
                return job
            time.sleep(0.03)
        raise AssertionError(f"{job_id} is not in state {state} after {seconds} s: {self.jobs.get(job_id)}")

    def hangs(self, pid: int) -> bool:
        """True if the command with `pid` will never answer."""
        return (self.home / f"hangs.{pid}").exists()

    def exceed_walltime(self, job_id: str) -> None:
        """The running job's time is over."""
        (self.home / f"walltime.{job_id}").touch()

    def wait_for_news(self) -> None:
        """Until a job begins or ends, but not for long: what came while somebody asked is not noticed."""
        known, deadline = self._version(), time.monotonic() + 0.5
        while self._version() == known and time.monotonic() < deadline:
            time.sleep(0.01)

    def _version(self) -> int:
        path = self.home / "state.json"
        return path.stat().st_mtime_ns if path.exists() else 0

    def lose_node(self, job_id: str) -> None:
        """The server loses touch with the job's node and gives the job up; its processes live on."""
        self._end_without_a_word(job_id, -20, substate=93, processes=False)
        self.set(mom_is_down=True)

    def restart_mom(self, job_id: str) -> None:
        """The node's daemon restarts and kills the job."""
        self._end_without_a_word(job_id, -4, substate=91, processes=True)

    def forget_everything(self) -> None:
        """A server installed anew: no job is known, and numbers begin where they began before."""
        with self._locked():
            (self.home / "state.json").unlink()

    def add_job(self, job_id: str, **facts: Any) -> None:
        """A job of somebody's, in whatever state."""
        job: dict[str, Any] = {
            "id": job_id,
            "name": "strange",
            "queue": "gpu_1",
            "state": "Q",
            "user": "somebody",
            "keep": "n",
        }
        job |= {"project": "x", "output": "", "error": "", "memory": 1, "walltime": 60, "ctime": "", "arguments": ""}
        with self._locked():
            content = self._content()
            content["jobs"][job_id] = job | facts
            content["next"] = max(content["next"], int(job_id.partition(".")[0]) + 1)
            (self.home / "state.json").write_text(json.dumps(content))

    def _end_without_a_word(self, job_id: str, status: int, *, substate: int, processes: bool) -> None:
        with self._locked():
            content = self._content()
            job = content["jobs"][job_id]
            pids = [job["mom"], *([job["session"]] if processes else [])]
            comment = f"{job['comment']} and failed"
            job |= {"state": "F", "exit_status": status, "substate": substate, "comment": comment}
            (self.home / "state.json").write_text(json.dumps(content))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Kill what still runs."""
        for job in self.jobs.values():
            lives_on = job["state"] != "F" or job.get("exit_status") == -20
            for pid in filter(None, (job.get("mom"), job.get("session"))) if lives_on else ():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)

    def _state(self) -> dict[str, Any]:
        with self._locked():
            return self._content()

    def _content(self) -> dict[str, Any]:
        path = self.home / "state.json"
        return json.loads(path.read_text()) if path.exists() else {"next": 7002781, "jobs": {}, "calls": []}

    def _control(self) -> dict[str, Any]:
        path = self.home / "control.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.home / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
