"""Which statements a test executes: before each in a function stands one that puts a byte into a file in memory.

A fork, a program that is started, and one that is killed leave their bytes there like the test's own process.
"""

from __future__ import annotations

import ast
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.mutation.overlay import overlay

_MODULE = """import mmap
with open({path!r}, "r+b") as stream:
    hits = mmap.mmap(stream.fileno(), 0)
"""
Executed = dict[str, list[int]]
"""First lines of statements, by file."""


@dataclass(frozen=True)
class Witness:
    """The files of `package`, in a fixed order, and where the bytes of each begin."""

    package: Path
    files: Sequence[Path]

    @cached_property
    def begins(self) -> Mapping[Path, int]:
        begins, place = {}, 0
        for file in self.files:
            begins[file] = place
            place += len((self.package / file).read_text().splitlines()) + 1
        return begins | {Path(): place}

    def stand_in(self, place: Path) -> None:
        """Put the package with its witnesses below `place`/src."""
        texts = {file: witnessed((self.package / file).read_text(), self.begins[file]) for file in self.files}
        overlay(self.package, place, texts)
        (place / "hits").write_bytes(bytes(self.begins[Path()]))
        (place / "src" / "witnessed_hits.py").write_text(_MODULE.format(path=str(place / "hits")))

    def take(self, hits: mmap.mmap) -> Executed:
        """What was executed since the last time."""
        seen = hits[:]
        hits[:] = bytes(len(seen))
        ends = [*self.begins.values()][1:]
        found = {
            str(file): [line for line in range(end - begin) if seen[begin + line]]
            for (file, begin), end in zip(self.begins.items(), ends, strict=False)
        }
        return {file: lines for file, lines in found.items() if lines}


def witnessed(source: str, begin: int) -> str:
    """`source` with a byte set before each statement of its functions: that of number `begin` + first line."""
    tree = ast.parse(source)
    for block in list(_blocks(tree)):
        first = 1 if _is_docstring(block[0]) else 0
        marked = [part for one in block[first:] for part in (_mark(begin + one.lineno), one)]
        block[first:] = marked
    after = next(
        (place for place, one in enumerate(tree.body) if not _is_docstring(one) and not _is_future(one)), len(tree.body)
    )
    tree.body.insert(after, ast.parse("from witnessed_hits import hits as _witnessed_hits").body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def statement_at(source: str, line: int) -> int | None:
    """The first line of the innermost statement of a function that `line` belongs to; None outside of them."""
    around = [
        one
        for block in _blocks(ast.parse(source))
        for one in block
        if one.lineno <= line <= (one.end_lineno or one.lineno)
    ]
    return max((one.lineno for one in around), default=None)


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements within a function."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    seen: set[int] = set()
    for function in functions:
        for node in ast.walk(function):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and id(block) not in seen:
                    seen.add(id(block))
                    yield block


def _mark(number: int) -> ast.stmt:
    return ast.parse(f"_witnessed_hits[{number}] = 1").body[0]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
