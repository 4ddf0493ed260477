"""Which faults: mutmut's operators on every expression that a program runs, one fault a mutant.

Left alone are annotations, docstrings and text that only people read (a string with a space in it); of the three ways
in which mutmut changes any other string, one is used. mutmut itself leaves decorated functions out, because it puts all
faults of a file into it at once and switches between them; here each mutant is a file of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators


@dataclass(frozen=True)
class Mutant:
    """One fault, and in `change` what to read of it."""

    file: Path
    line: int
    function: str
    change: str
    key: str
    """The same for as long as the function around the fault is."""
    make: Callable[[], str]

    @property
    def source(self) -> str:
        """The whole file with the fault."""
        return self.make()


def mutants_of(root: Path, file: Path) -> list[Mutant]:
    """Every mutant of `file`, a path below `root`."""
    wrapper = MetadataWrapper(cst.parse_module((root / file).read_text()))
    finder = _Finder()
    wrapper.visit(finder)
    return list(_unlike(_mutant(wrapper, file, *found) for found in finder.found))


def _unlike(mutants: Iterator[Mutant]) -> Iterator[Mutant]:
    seen = set()
    for mutant in mutants:
        if mutant.key not in seen:
            seen.add(mutant.key)
            yield mutant


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, int, list[cst.CSTNode]]] = []
        self._within: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom) or _is_docstring(node):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._within.append(node)
        line = self.get_metadata(PositionProvider, node).start.line
        self.found += [(node, changed, line, [*self._within]) for changed in _faults(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef) and original_node in self._within:
            self._within.pop()


def _is_docstring(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)


def _faults(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from (changed for changed in operator(node) if _counts(node, changed))


def _counts(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    if isinstance(node, cst.SimpleString):
        return " " not in node.value and "XX" in getattr(changed, "value", "")
    return True


def _mutant(
    wrapper: MetadataWrapper, file: Path, node: cst.CSTNode, changed: cst.CSTNode, line: int, within: list[cst.CSTNode]
) -> Mutant:
    module = wrapper.module
    names = [inner.name.value for inner in within if isinstance(inner, cst.FunctionDef | cst.ClassDef)]
    around = within[-1] if within else node
    before, after = (module.code_for_node(part) for part in (around, around.deep_replace(node, changed)))
    key = hashlib.sha256("\0".join((str(file), *names, before, after)).encode()).hexdigest()[:16]

    def make() -> str:
        return module.code_for_node(module.deep_replace(node, changed))

    return Mutant(file, line, ".".join(names), _words(module, node, changed), key, make)


def _words(module: cst.Module, node: cst.CSTNode, changed: cst.CSTNode) -> str:
    old, new = (" ".join(module.code_for_node(part).split()) for part in (node, changed))
    return f"{old} -> {new}"
