"""What benchmarks.mutation stands on: witnesses see what is executed, and living functions get the fault."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from benchmarks.mutation.patching import Patch, is_possible, living_functions, put
from benchmarks.mutation.witness import statement_at, witnessed

SOURCE = '''"""A module."""

from __future__ import annotations

LIMIT = 3


def outer(value: int) -> int:
    """Something of `value`."""
    if value > LIMIT:
        return 10

    def inner() -> int:
        return value + 1

    return inner()
'''


def module_of(source: str, path: str = "made_up.py") -> ModuleType:
    module = ModuleType("made_up")
    exec(compile(source, path, "exec"), vars(module))
    return module


@pytest.mark.parametrize(("value", "result", "lines"), [(1, 2, {10, 13, 14, 16}), (5, 10, {10, 11})])
def test_a_witness_sees_the_statements_that_were_executed(
    value: int, result: int, lines: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hits, stand_in = bytearray(200), ModuleType("witnessed_hits")
    vars(stand_in)["hits"] = hits
    monkeypatch.setitem(sys.modules, "witnessed_hits", stand_in)
    module = module_of(witnessed(SOURCE, 100))
    assert not any(hits), "what runs on import has no witness"
    assert module.outer(value) == result
    assert {place - 100 for place, hit in enumerate(hits) if hit} == lines
    assert module.outer.__doc__ == "Something of `value`."


def test_a_line_belongs_to_the_innermost_statement_of_a_function() -> None:
    assert [statement_at(SOURCE, line) for line in (5, 8, 10, 11, 13, 14, 16)] == [None, None, 10, 11, 13, 14, 16]


@pytest.mark.parametrize(
    ("old", "new", "result"), [("value + 1", "value - 1", 0), ("value > LIMIT", "value < LIMIT", 10)]
)
def test_a_fault_is_put_into_functions_whoever_holds_them(old: str, new: str, result: int) -> None:
    held: Any = module_of(SOURCE).outer
    patch, living = Patch("made_up.py", SOURCE, SOURCE.replace(old, new)), living_functions()
    exchange = patch.exchange()
    assert exchange
    assert is_possible(exchange, living)
    put(exchange, living)
    assert held(1) == result


def test_a_fault_in_what_runs_on_import_is_not_patched() -> None:
    module_of(SOURCE)
    assert Patch("made_up.py", SOURCE, SOURCE.replace("LIMIT = 3", "LIMIT = 4")).exchange() is None
    assert not is_possible({}, living_functions())
