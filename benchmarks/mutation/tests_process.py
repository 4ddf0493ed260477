"""A process that has imported and collected the tests, and forks to run some of them, as often as it is asked."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.patching import Patch, is_possible, living_functions, put

OPTIONS = ["-q", "-n", "0", "-s", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "--tb=short"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what is preloaded
COLLECTING, ALLOWANCE, TIMES_AS_LONG = 300.0, 20.0, 10.0
"""Processor seconds to import and collect; seconds every test may take, and how many times its own."""
ASLEEP = 60
"""So many looks, a second apart, at which no process of a trial has anything to do: it never ends."""


@dataclass(frozen=True)
class Order:
    """Run `tests` in this order, each within ten times its processor seconds, until one fails."""

    place: Path
    tests: Sequence[str]
    seconds: Mapping[str, float] = field(default_factory=dict)
    patch: Patch | None = None
    observer: Callable[[], object] | None = None
    """Makes a pytest plugin; then all are run, whichever fails."""


@dataclass(frozen=True)
class Outcome:
    """`noticed` by the test `by`, or because it took ten times its processor time, or slept for ever."""

    noticed: bool
    by: str
    seconds: float


class TestsProcess:
    """Tests below `paths`, with the package below `place`/src if that is given, else with the installed one."""

    __test__ = False

    def __init__(self, folder: Path, paths: Sequence[str], place: Path | None = None) -> None:
        self._connection, theirs = _pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._connection.close()
            _serve(theirs, folder, paths, place)
        theirs.close()
        try:
            self.tests: list[str] | None = self._connection.recv()
        except EOFError:
            self.tests = None
        """What was collected; None where the import failed."""

    def run(self, order: Order) -> Outcome | None:
        """None where a fault cannot be put into a living process."""
        self._connection.send(order)
        answer: Outcome | None = self._connection.recv()
        return answer

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._connection.send(None)
        os.waitpid(self.pid, 0)
        self._connection.close()


def _pipe() -> tuple[Connection, Connection]:
    from multiprocessing import Pipe

    return Pipe()


def _serve(connection: Connection, folder: Path, paths: Sequence[str], place: Path | None) -> None:
    """Never returns: this process and its forks end here."""
    code = 3
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (int(COLLECTING), resource.RLIM_INFINITY))
        os.environ |= {"KD_TEST_START": "fork", "TMPDIR": str(folder)}
        tempfile.tempdir = str(folder)
        if place:
            sys.path.insert(0, str(place / "src"))
        _write_to(folder / "output")
        _import_all("kd_core")
        base = f"--basetemp={folder / 'pytest'}"
        code = int(pytest.main([*OPTIONS, base, *paths], plugins=[_Server(connection, patched=place is None)]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _write_to(path: Path) -> None:
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        opened = os.open(path if number else os.devnull, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)


def _import_all(package: str) -> None:
    """So that a module which a test would import later is the same that a fault is put into."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)


class _Server:
    """In the place of pytest's own loop: a fork for each order, in which pytest goes on with the tests asked for."""

    def __init__(self, connection: Connection, *, patched: bool) -> None:
        self.connection, self.patched = connection, patched

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool | None:
        if session.testsfailed:
            return None  # a file that cannot be imported: pytest ends here
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        living = living_functions() if self.patched else {}
        gc.freeze()  # or a fork's first collection copied all of this
        self.connection.send([item.nodeid for item in session.items])
        while order := self.connection.recv():
            exchange = order.patch.exchange() if order.patch else {}
            if order.patch and not is_possible(exchange, living):
                self.connection.send(None)
                continue
            start, child = _children_seconds(), os.fork()
            if child == 0:
                put(exchange or {}, living)
                _begin(order, session)
                return None
            status = _watch(child)
            by = (order.place / "by").read_text() if (order.place / "by").exists() else ""
            seconds = _children_seconds() - start
            self.connection.send(Outcome(status != 0, by or _reason(status), seconds))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The end, before pytest collects garbage for half a second."""
        sys.stdout.flush()
        os._exit(int(exitstatus))


def _reason(status: int | None) -> str:
    if status is None:
        return "time: all asleep"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "time" if number == signal.SIGXCPU else signal.Signals(number).name
    return f"exit {os.WEXITSTATUS(status)}" if status else ""


def _begin(order: Order, session: Any) -> None:
    """In the fork: its own session, folder and output; the tests asked for and no others."""
    os.setsid()
    temporary = order.place / "tmp"
    temporary.mkdir()
    os.environ |= {"PYTHONPATH": str(order.place / "src"), "TMPDIR": str(temporary)}
    tempfile.tempdir = str(temporary)
    _write_to(order.place / "output")
    number = {item.nodeid: item for item in session.items}
    session.items[:] = [number[test] for test in order.tests if test in number]
    session.config.pluginmanager.register(order.observer() if order.observer else _Judge(order, session))


class _Judge:
    """Writes down the first test that fails, and ends there."""

    def __init__(self, order: Order, session: Any) -> None:
        self.order, self.session = order, session

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        may_take = max(ALLOWANCE, TIMES_AS_LONG * self.order.seconds.get(nodeid, 0))
        until = time.process_time() + may_take
        resource.setrlimit(resource.RLIMIT_CPU, (int(until) + 1, resource.RLIM_INFINITY))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.session.shouldfail:
            (self.order.place / "by").write_text(report.nodeid)
            self.session.shouldfail = "noticed"


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(child: int) -> int | None:
    """The status it ends with; None if it sleeps for ever. Nothing the child started outlives it."""
    asleep, looked = 0, time.monotonic()
    while asleep < ASLEEP:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _kill_group(child)
            return status
        if time.monotonic() - looked > 1:
            asleep, looked = 0 if _is_busy(child) else asleep + 1, time.monotonic()
        time.sleep(0.01)
    _kill_group(child)
    os.waitpid(child, 0)
    return None


def _is_busy(group: int) -> bool:
    """Whether a process of this session runs, or would if it had the processor."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == group and state in "RD":
                return True
    return False


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
