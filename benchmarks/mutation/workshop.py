"""Trying one mutant: in a fork of a process with everything imported, or, if it changes what runs on import, anew."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.mutation.mutants import Mutant
from benchmarks.mutation.overlay import overlay
from benchmarks.mutation.patching import Patch
from benchmarks.mutation.record import Observer, Record
from benchmarks.mutation.tests_process import Order, Outcome, TestsProcess
from benchmarks.mutation.witness import Witness

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
    "pydantic",
)


class Workshop:
    """Tries mutants of the package at `package` on tests below `paths`."""

    def __init__(self, package: Path, paths: Sequence[str]) -> None:
        self.package, self.paths = package, paths
        self.folder = Path(tempfile.mkdtemp(prefix="mutation-"))
        for name in PRELOADED:
            __import__(name)
        import torch

        torch.set_num_threads(1)
        self._collected: TestsProcess | None = None

    def observe(self, record: Record) -> list[str]:
        """Bring the record up to date; the tests that are not in it, for they fail on the sound code or are skipped."""
        place = self._place()
        witness = Witness(self.package, sorted(path.relative_to(self.package) for path in self.package.rglob("*.py")))
        witness.stand_in(place)
        tests = self._process(place, place)
        known = record.tests()
        if missing := [test for test in tests.tests or () if test not in known]:
            order = Order(self._place(), missing, observer=partial(Observer, record, witness, place / "hits"))
            tests.run(order)
            shutil.copy(order.place / "output", record.file.with_suffix(".log"))
        tests.close()
        known = record.tests()
        return [test for test in missing if test not in known]

    def try_out(self, mutant: Mutant, tests: Sequence[str], seconds: Mapping[str, float], *, anew: bool) -> Outcome:
        """The fate of `mutant` on `tests`, in this order."""
        place = self._place()
        overlay(self.package, place, {mutant.file: mutant.source})
        order = Order(place, tests, seconds, self._patch(mutant))
        try:
            if not anew and (outcome := self._all_collected().run(order)):
                return outcome
            return self._anew(Order(place, tests, seconds))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def close(self) -> None:
        if self._collected:
            self._collected.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all_collected(self) -> TestsProcess:
        if self._collected is None:
            self._collected = self._process(self._place())
        return self._collected

    def _process(self, folder: Path, place: Path | None = None) -> TestsProcess:
        process = TestsProcess(folder, self.paths, place)
        if process.tests is None:
            raise SystemExit(f"The sound code's tests cannot be collected:\n{(folder / 'output').read_text()}")
        return process

    def _anew(self, order: Order) -> Outcome:
        files = [*dict.fromkeys(test.partition("::")[0] for test in order.tests)]
        process = TestsProcess(self._place(), files, order.place)
        if process.tests is None:
            return Outcome(True, "import", 0.0)
        try:
            outcome = process.run(order)
        finally:
            process.close()
        assert outcome is not None, "nothing is patched where all is imported anew"
        return outcome

    def _patch(self, mutant: Mutant) -> Patch:
        path = self.package / mutant.file
        return Patch(str(path), path.read_text(), mutant.source)

    def _place(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))
