"""Trying one mutant: a process that has torch, but none of kd_core, forks, and runs the tests on the faulty code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutation.mutants import Mutant

PRELOADED = (
    "torch",
    "torchvision",
    "numpy",
    "pytest",
    "hypothesis",
    "sklearn.datasets",
    "scipy.io",
    "PIL.Image",
    "typer",
)
OPTIONS = ["-x", "-q", "-n", "0", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "--tb=no"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what is preloaded


@dataclass(frozen=True)
class Outcome:
    """`noticed` by the test `by`, or because the time was up."""

    noticed: bool
    by: str
    seconds: float


class Workshop:
    """Tries mutants of the package at `package`, each within `seconds` of the clock."""

    def __init__(self, package: Path, seconds: float) -> None:
        self.package, self.seconds = package, seconds
        self.folder = Path(tempfile.mkdtemp(prefix="mutation-"))
        for name in PRELOADED:
            __import__(name)
        import torch

        torch.set_num_threads(1)

    def try_out(self, mutant: Mutant | None, tests: Sequence[str]) -> Outcome:
        """The fate of `mutant`; of the sound code for None."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        self._overlay(place / "src" / self.package.name, mutant)
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _run_tests(place, tests)
        status = self._wait(child)
        seconds = time.monotonic() - start
        by = (place / "by").read_text() if (place / "by").exists() else ""
        shutil.rmtree(place, ignore_errors=True)
        if status is None:
            return Outcome(True, "time", seconds)
        return Outcome(status != 0, by or f"exit {status}" if status else "", seconds)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _overlay(self, target: Path, mutant: Mutant | None) -> None:
        """The package once more, its files hard links (compiled ones, too) but for the faulty one."""
        shutil.copytree(self.package, target, copy_function=os.link)
        if mutant:
            faulty = target / mutant.file
            faulty.unlink()
            faulty.write_text(mutant.source)

    def _wait(self, child: int) -> int | None:
        """The exit status; None if the time was up. Nothing the child started outlives it."""
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                _kill_group(child)
                return status
            time.sleep(0.02)
        _kill_group(child)
        os.waitpid(child, 0)
        return None


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _run_tests(place: Path, tests: Sequence[str]) -> None:
    """In the child: never returns."""
    os.setsid()
    sys.path.insert(0, str(place / "src"))
    temporary = place / "tmp"
    temporary.mkdir()
    os.environ |= {"PYTHONPATH": str(place / "src"), "KD_TEST_START": "fork", "TMPDIR": str(temporary)}
    tempfile.tempdir = str(temporary)
    output = os.open(place / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import pytest

    class Witness:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                (place / "by").write_text(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                (place / "by").write_text(f"import of {report.nodeid}")

    code = 3
    try:
        code = int(pytest.main([*OPTIONS, f"--basetemp={temporary / 'pytest'}", *tests], plugins=[Witness()]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
