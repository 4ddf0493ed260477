"""Which tests are tried on a mutant: those that execute its statement, the likeliest and cheapest first."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from benchmarks.mutation.mutants import Mutant
from benchmarks.mutation.record import Tested
from benchmarks.mutation.witness import statement_at


class Choice:
    """Out of `tests`; `noticed_by` counts, by file and test, the mutants that were noticed so far."""

    def __init__(self, package: Path, tests: Mapping[str, Tested]) -> None:
        self.package, self.tests = package, tests
        self.noticed_by: Counter[tuple[str, str]] = Counter()

    def of(self, mutant: Mutant, effort: float) -> list[str]:
        """Those that execute it, as many as `effort` processor seconds suffice for, but one at least."""
        ordered = sorted(self._executing(mutant), key=lambda one: self._rank(mutant, one))
        chosen, left = list[str](), effort
        for one in ordered:
            left -= one.seconds
            if chosen and left < 0:
                break
            chosen.append(one.test)
        return chosen

    def runs_on_import(self, mutant: Mutant) -> bool:
        return statement_at((self.package / mutant.file).read_text(), mutant.line) is None

    def seconds(self, tests: Iterable[str]) -> dict[str, float]:
        return {test: self.tests[test].seconds for test in tests if test in self.tests}

    def _rank(self, mutant: Mutant, one: Tested) -> tuple[float, float]:
        return -self.noticed_by[str(mutant.file), one.test], one.seconds

    def _executing(self, mutant: Mutant) -> list[Tested]:
        line = statement_at((self.package / mutant.file).read_text(), mutant.line)
        if line is not None:
            found = [one for one in self.tests.values() if line in one.lines.get(str(mutant.file), ())]
        else:  # of what runs on import only the file is known, and who may use what it defines
            files = {str(mutant.file), *self._importers.get(str(mutant.file), ())}
            found = [one for one in self.tests.values() if files & one.lines.keys()]
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
