"""One call of a scheduler's command: bounded in time, never raising, its answer as text whatever bytes it printed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MISSING = "is not on the PATH"


@dataclass(frozen=True)
class Answer:
    """What a command answered. With a `failure` (no such command, time-out, killed) it answered nothing to rely on."""

    command: str
    exit_status: int = 0
    stdout: str = ""
    stderr: str = ""
    failure: str = ""

    @property
    def is_success(self) -> bool:
        """True if it ran and exited 0; what it remarked on stderr beside its answer changes nothing."""
        return not self.failure and self.exit_status == 0

    @property
    def is_missing(self) -> bool:
        """True if there is no such command here, so that nothing can have happened."""
        return self.failure.endswith(_MISSING)

    @property
    def complaints(self) -> list[str]:
        """The lines of stderr that hold anything."""
        return [line.strip() for line in self.stderr.splitlines() if line.strip()]

    @property
    def words(self) -> str:
        """What went wrong, in the scheduler's own words and one line."""
        said = " / ".join(self.complaints[:3]) or "no message"
        return self.failure or f"{self.command} exited {self.exit_status}: {said}"


def call(
    arguments: Sequence[str], *, timeout: float, stdin: str = "", variables: Mapping[str, str] | None = None
) -> Answer:
    """Run `arguments`, give it `stdin`, and wait at most `timeout` seconds; a command still at work then is killed.

    `variables` go into its environment. Output goes through files: a child that outlives the command cannot keep the
    caller waiting on a pipe.
    """
    name = arguments[0]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode(errors="surrogateescape"))
        given.seek(0)
        try:
            process = subprocess.Popen(
                arguments,
                stdin=given,
                stdout=out,
                stderr=err,
                env=_environment() | dict(variables or {}),
                start_new_session=True,
            )
        except OSError as error:
            reason = _MISSING if isinstance(error, FileNotFoundError) else f"cannot run: {error.strerror}"
            return Answer(name, failure=f"{name} {reason}")
        try:
            status = _wait(process, timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Answer(name, failure=f"{name} gave no answer within {timeout:g} s")
        out.seek(0)
        err.seek(0)
        stdout, stderr = (stream.read().decode(errors="replace") for stream in (out, err))
    failure = f"{name} was killed by signal {-status}" if status < 0 else ""
    return Answer(name, status, stdout, stderr, failure)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> int:
    """The exit status; raises TimeoutExpired."""
    return process.wait(timeout)


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command and its children; one stuck in a hung file system is left behind, not waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
