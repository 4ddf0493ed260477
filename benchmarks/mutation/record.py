"""What each test executes of the package, and what it costs: taken once, kept for as long as both stay as they are."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.witness import Executed, Witness


@dataclass(frozen=True)
class Tested:
    """A test that passes on the sound code: `seconds` of processor time with its fixtures, `lines` executed by both."""

    test: str
    file_sha256: str
    seconds: float
    lines: Executed


class Record:
    """One line a test in `file`; those of changed test files are left out."""

    def __init__(self, file: Path, root: Path) -> None:
        self.file, self.root = file, root

    def tests(self) -> dict[str, Tested]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = [Tested(**json.loads(line)) for line in lines]
        return {one.test: one for one in found if one.file_sha256 == self.sha256_of(one.test)}

    def add(self, tested: Tested) -> None:
        with self.file.open("a") as stream:
            stream.write(json.dumps(asdict(tested)) + "\n")

    def sha256_of(self, test: str) -> str:
        path = self.root / test.partition("::")[0]
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def package_sha256(package: Path) -> str:
    """Of all its source files."""
    files = sorted(package.rglob("*.py"))
    return hashlib.sha256(b"\0".join(str(file).encode() + file.read_bytes() for file in files)).hexdigest()


class Observer:
    """A pytest plugin that writes a line of the record after each test that passes."""

    def __init__(self, record: Record, witness: Witness, hits: Path) -> None:
        self.record, self.witness = record, witness
        with hits.open("r+b") as stream:
            self.hits = mmap.mmap(stream.fileno(), 0)
        self.shared: dict[int, tuple[float, Executed]] = {}
        """By fixture that several tests use."""
        self.own, self.not_own, self.passed = [Executed()], 0.0, True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self.own, self.not_own, self.passed = [], 0.0, True
        self.witness.take(self.hits)
        start = _seconds()
        done = yield
        self.own.append(self.witness.take(self.hits))
        shared = [self.shared[id(one)] for one in _fixtures_of(item) if id(one) in self.shared]
        seconds = _seconds() - start - self.not_own + sum(seconds for seconds, _ in shared)
        if self.passed:
            lines = _joined([*self.own, *(lines for _, lines in shared)])
            self.record.add(Tested(item.nodeid, self.record.sha256_of(item.nodeid), round(seconds, 3), lines))
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        self.own.append(self.witness.take(self.hits))
        start = _seconds()
        value = yield
        spent = _seconds() - start
        self.not_own += spent
        longest, lines = self.shared.get(id(fixturedef), (0.0, {}))
        self.shared[id(fixturedef)] = (max(longest, spent), _joined([lines, self.witness.take(self.hits)]))
        return value

    def pytest_runtest_logreport(self, report: Any) -> None:
        if not report.passed:
            self.passed = False
        if report.failed:
            print(f"NOT SOUND {report.nodeid}\n{report.longreprtext}", flush=True)


def _fixtures_of(item: Any) -> list[Any]:
    known = item._fixtureinfo.name2fixturedefs
    return [one for name in item.fixturenames for one in known.get(name, ())]


def _seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _joined(parts: Iterable[Executed]) -> Executed:
    found: dict[str, set[int]] = {}
    for part in parts:
        for file, lines in part.items():
            found.setdefault(file, set()).update(lines)
    return {file: sorted(lines) for file, lines in found.items()}
