"""Real kd-core processes without paying for `import torch` each time: a fork server that has imported it.

What is started here is a process of its own, with its own pid, that can be sent SIGKILL; only its start is cheap.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
# benchmarks.mutation starts them as forks of the tests' own process, which has the faulty code
_CONTEXT: Any = multiprocessing.get_context(os.environ.get("KD_TEST_START", "forkserver"))
_CONTEXT.set_forkserver_preload(["torch", "kd_core.run", "kd_core.cli", "kd_core.commands.identity"])

_MAIN = """
import os, sys
output = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(output, 1); os.dup2(output, 2)
sys.stdout = open(1, "w", buffering=1, closefd=False); sys.stderr = open(2, "w", buffering=1, closefd=False)
os.environ.update({environment!r})
sys.argv = ["kd-core", *{arguments!r}]
{prelude}
from kd_core.cli import main
main()
"""


@dataclass
class Started:
    """A running kd-core; `log` collects its stdout and stderr."""

    process: ForkServerProcess
    log: Path

    def wait(self, seconds: float = 120) -> int:
        """Its exit code; negative for a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running after {seconds} s: {self.log.read_text()}"
        return self.process.exitcode

    def until(self, is_so: Callable[[], bool], seconds: float = 120) -> None:
        """Return as soon as `is_so()`; a process that ends before, or so much time, fails the test."""
        end = time.monotonic() + seconds
        while not is_so():
            alive = self.process.is_alive()
            assert alive or is_so(), f"it ended with {self.process.exitcode}: {self.log.read_text()}"
            assert time.monotonic() < end, f"not so after {seconds} s: {self.log.read_text()}"
            self.process.join(0.02)

    def kill_after(self, seconds: float) -> bool:
        """Send SIGKILL after `seconds`; True if that is what ended it."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        return self.process.exitcode == -signal.SIGKILL


def start(arguments: Sequence[str], log: Path, *, prelude: str = "", **environment: str) -> Started:
    """`kd-core ARGUMENTS` in a new process; `prelude` runs there first, to inject a fault."""
    code = _MAIN.format(log=str(log), arguments=list(arguments), environment=environment, prelude=prelude)
    process = _CONTEXT.Process(target=exec, args=(code, {"__name__": "kd_core_process"}), daemon=False)
    process.start()
    return Started(process, log)


def run(arguments: Sequence[str], log: Path, *, prelude: str = "", **environment: str) -> tuple[int, str]:
    """Exit code and everything printed by `kd-core ARGUMENTS`."""
    code = start(arguments, log, prelude=prelude, **environment).wait()
    return code, log.read_text()


_DEATH = """
import os, signal, pathlib
replace, seen = pathlib.Path.replace, []
def counted(self, target):
    result = replace(self, target)
    seen.append(target)
    if len([path for path in seen if path.name == {name!r} and {where!r} in str(path)]) == {count}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
pathlib.Path.replace = counted
"""


def dies_at(name: str, count: int = 1, *, where: str = "") -> str:
    """A prelude: SIGKILL as such a file, of a run with `where` in its path, is published for the so manieth time."""
    return _DEATH.format(name=name, where=where, count=count)
