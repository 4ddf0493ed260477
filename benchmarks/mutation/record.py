"""What each test executes of the package, and what it costs: taken once, kept for as long as both stay as they are."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.witness import Executed, Witness


@dataclass(frozen=True)
class Tested:
    """A test that passes on the sound code: `seconds` of processor time of its own, of each fixture that it shares with
    others, and the `lines` that all of these execute."""

    test: str
    seconds: float
    fixtures: dict[str, float]
    lines: Executed
    sources: dict[str, str]
    """SHA-256 of the test's file (under its own path) and of those executed, as they were."""


class Record:
    """One line a test in `file`; of tests below `root` that executed some of `package`."""

    def __init__(self, file: Path, root: Path, package: Path) -> None:
        self.file, self.root, self.package = file, root, package

    def tests(self) -> dict[str, Tested]:
        """By name; none whose own file has changed. Of code that has changed, a test is taken to execute all."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = [Tested(**json.loads(line)) for line in lines]
        return {one.test: self._today(one) for one in found if self._is_as_it_was(one.sources, file_of(one.test))}

    def add(self, test: str, seconds: float, fixtures: dict[str, float], lines: Executed) -> None:
        sources = {file: self._sha256(file) for file in (file_of(test), *lines)}
        with self.file.open("a") as stream:
            stream.write(json.dumps(asdict(Tested(test, round(seconds, 3), fixtures, lines, sources))) + "\n")

    def _today(self, one: Tested) -> Tested:
        lines = {
            file: lines if self._is_as_it_was(one.sources, file) else self._all_lines(file)
            for file, lines in one.lines.items()
        }
        return replace(one, lines=lines)

    def _is_as_it_was(self, sources: dict[str, str], file: str) -> bool:
        return sources[file] == self._sha256(file)

    def _all_lines(self, file: str) -> list[int]:
        path = self.package / file
        return [*range(1, len(path.read_text().splitlines()) + 1)] if path.exists() else []

    @cache  # noqa: B019 # a record lives as long as the program
    def _sha256(self, file: str) -> str:
        path = (self.root if file.startswith("tests/") else self.package) / file
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def file_of(test: str) -> str:
    return test.partition("::")[0]


class Observer:
    """A pytest plugin that writes a line of the record after each test that passes."""

    def __init__(self, record: Record, witness: Witness, hits: Path) -> None:
        self.record, self.witness = record, witness
        with hits.open("r+b") as stream:
            self.hits = mmap.mmap(stream.fileno(), 0)
        self.shared: dict[str, tuple[float, Executed]] = {}
        """By fixture that several tests use, and its parameter."""
        self.own, self.not_own, self.passed = [Executed()], 0.0, True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self.own, self.not_own, self.passed = [], 0.0, True
        self.witness.take(self.hits)
        start = _seconds()
        done = yield
        self.own.append(self.witness.take(self.hits))
        shared = {name: self.shared[name] for name in _fixtures_of(item) if name in self.shared}
        if self.passed:
            lines = _joined([*self.own, *(lines for _, lines in shared.values())])
            costs = {name: round(cost, 3) for name, (cost, _) in shared.items()}
            self.record.add(item.nodeid, _seconds() - start - self.not_own, costs, lines)
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        self.own.append(self.witness.take(self.hits))
        start = _seconds()
        value = yield
        spent = _seconds() - start
        self.not_own += spent
        name = _name(fixturedef, request)
        longest, lines = self.shared.get(name, (0.0, {}))
        self.shared[name] = (max(longest, spent), _joined([lines, self.witness.take(self.hits)]))
        return value

    def pytest_runtest_logreport(self, report: Any) -> None:
        if not report.passed:
            self.passed = False
        if report.failed:
            print(f"NOT SOUND {report.nodeid}\n{report.longreprtext}", flush=True)


def _fixtures_of(item: Any) -> list[str]:
    """Names of all that `item` uses, as below."""
    known = item._fixtureinfo.name2fixturedefs
    chosen = getattr(getattr(item, "callspec", None), "indices", {})
    return [
        f"{one.baseid}::{name}[{chosen.get(name, 0)}]" for name in item.fixturenames for one in known.get(name, ())[-1:]
    ]


def _name(fixturedef: Any, request: Any) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname}[{request.param_index}]"


def _seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _joined(parts: Iterable[Executed]) -> Executed:
    found: dict[str, set[int]] = {}
    for part in parts:
        for file, lines in part.items():
            found.setdefault(file, set()).update(lines)
    return {file: sorted(lines) for file, lines in found.items()}
