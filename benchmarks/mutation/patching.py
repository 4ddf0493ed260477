"""A fault put into functions that live already: their code is exchanged, whoever holds them."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType

Key = tuple[str, str, int]
"""File, name and first line of a function."""


@dataclass(frozen=True)
class Patch:
    """The source of a file before and after; `exchange` is what it comes to."""

    path: str
    before: str
    after: str

    def exchange(self) -> dict[Key, CodeType] | None:
        """New code by function; None where more than the code of functions has changed."""
        old, new = (compile(text, self.path, "exec", dont_inherit=True) for text in (self.before, self.after))
        pairs = list(zip(_within(old), _within(new), strict=False))
        if len(pairs) != len(list(_within(old))) or len(pairs) != len(list(_within(new))):
            return None
        if any(_own(one) != _own(other) and not _is_function(one) for one, other in pairs):
            return None
        return {
            (self.path, one.co_qualname, one.co_firstlineno): other
            for one, other in pairs
            if _is_function(one) and _deep(one) != _deep(other)
        }


def living_functions() -> dict[Key, list[FunctionType]]:
    """All Python functions of this process."""
    found: dict[Key, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            code = thing.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


def is_possible(exchange: dict[Key, CodeType] | None, living: dict[Key, list[FunctionType]]) -> bool:
    """Whether each change lies in a function that lives, or within one, so that nobody can meet the old code."""
    if not exchange:
        return False
    alive = [key for key in exchange if key in living]
    same_room = all(
        len(function.__code__.co_freevars) == len(exchange[key].co_freevars)
        for key in alive
        for function in living[key]
    )
    return same_room and all(any(_lies_in(key, other) for other in alive) for key in exchange)


def put(exchange: dict[Key, CodeType], living: dict[Key, list[FunctionType]]) -> None:
    for key, code in exchange.items():
        for function in living.get(key, []):
            function.__code__ = code


def _lies_in(key: Key, other: Key) -> bool:
    return key == other or key[1].startswith(f"{other[1]}.<locals>.")


def _within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _own(code: CodeType) -> Sequence[object]:
    """What a code does, but for the codes within it; 1, 1.0 and True are not the same."""
    constants = [(type(one), "" if isinstance(one, CodeType) else repr(one)) for one in code.co_consts]
    names = (code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, *names, code.co_flags, code.co_argcount, code.co_kwonlyargcount)


def _deep(code: CodeType) -> list[Sequence[object]]:
    return [_own(one) for one in _within(code)]
