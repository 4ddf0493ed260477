"""Which tests are tried on a mutant: those that execute its statement, the likeliest and cheapest first."""

from __future__ import annotations

import ast
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path

from benchmarks.mutation.mutants import Mutant
from benchmarks.mutation.record import Tested
from benchmarks.mutation.witness import statement_at

DEAR = (0.3, 4.0)
"""Processor seconds: cheap ones first, dear ones last."""


class Choice:
    """Out of `tests`; `noticed_by` counts, by file and test, the mutants that were noticed so far."""

    def __init__(self, package: Path, tests: Mapping[str, Tested]) -> None:
        self.package, self.tests = package, tests
        self.noticed_by: Counter[tuple[str, str]] = Counter()
        self._place = {test: place for place, test in enumerate(tests)}

    def of(self, mutant: Mutant, effort: float, passed: Collection[str] = ()) -> list[str]:
        """Those that execute it but the `passed`, as many as `effort` processor seconds suffice for; one at least."""
        chosen, left, ready = list[str](), effort, set[str]()
        left_over = [one for one in self._executing(mutant) if one.test not in passed]
        for one in sorted(left_over, key=lambda one: self._rank(mutant, one)):
            left -= one.seconds + sum(cost for name, cost in one.fixtures.items() if name not in ready)
            ready |= one.fixtures.keys()
            if chosen and left < 0:
                break
            chosen.append(one.test)
        return chosen

    def runs_on_import(self, mutant: Mutant) -> bool:
        return self._statement(mutant.file, mutant.line) is None

    @cache  # noqa: B019 # a choice lives as long as the program
    def _statement(self, file: Path, line: int) -> int | None:
        return statement_at((self.package / file).read_text(), line)

    def seconds(self, tests: Iterable[str]) -> dict[str, float]:
        """What each takes if it is the first that needs its fixtures."""
        return {test: _alone(self.tests[test]) for test in tests}

    def _rank(self, mutant: Mutant, one: Tested) -> tuple[bool, int, int, int]:
        """Dear ones come in the order of collection, which sets up a fixture once; of tests that import a file those
        that are named for its folder come first."""
        elsewhere = self.runs_on_import(mutant) and not _is_named_for(mutant, one)
        dear = bisect(DEAR, _alone(one))
        noticed = 0 if dear == len(DEAR) else self.noticed_by[str(mutant.file), one.test]
        return elsewhere, dear, -noticed, self._place[one.test]

    def _executing(self, mutant: Mutant) -> list[Tested]:
        line = self._statement(mutant.file, mutant.line)
        if line is not None:
            found = [one for one in self.tests.values() if line in one.lines.get(str(mutant.file), ())]
        else:  # of what runs on import only the file is known, and who may use what it defines
            files = {str(mutant.file), *self._importers.get(str(mutant.file), ())}
            found = [one for one in self.tests.values() if files & one.lines.keys() or _is_named_for(mutant, one)]
        return found or [one for one in self.tests.values() if not one.lines]

    @cached_property
    def _importers(self) -> dict[str, set[str]]:
        """By file of the package, the files that import from it."""
        found: dict[str, set[str]] = {}
        for path in self.package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in names if names and names[0].startswith(f"{self.package.name}.") else []:
                    file = f"{'/'.join(name.split('.')[1:])}.py"
                    found.setdefault(file, set()).add(str(path.relative_to(self.package)))
        return found


def _is_named_for(mutant: Mutant, one: Tested) -> bool:
    return f"/{mutant.file.parts[0]}/" in one.test


def _alone(one: Tested) -> float:
    return one.seconds + sum(one.fixtures.values())
