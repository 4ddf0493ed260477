"""How large a campaign may be: a slip of one digit must be told at once, not after an hour of building runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

MOST_VALUES = 1_000
"""In one list."""
MOST_RUNS = 100_000
_MULTIPLY = ("datasets", "seeds", "methods", "alphas")
_ADD_ARMS = ("controls", "pairs")


def is_too_large(tables: Mapping[str, Any]) -> str:
    """What of a campaign's `tables`, as read, is beyond all reason; empty if nothing is."""
    for name, values in _lists(tables):
        if len(values) > MOST_VALUES:
            return f"{name} lists {len(values):,} values, and {MOST_VALUES:,} are the most"
    lists = dict(_lists(tables))
    axes = [len(lists[name]) for name in lists if name in _MULTIPLY or name.startswith("grid.")]
    arms = [1 + len(lists[name]) for name in _ADD_ARMS if name in lists]
    runs = prod(max(1, number) for number in (*axes, *arms))
    return f"it asks for up to {runs:,} runs, and {MOST_RUNS:,} are the most" if runs > MOST_RUNS else ""


def _lists(tables: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Every list there is, by the name that the file has for it."""
    for name, value in tables.items():
        if isinstance(value, list):
            yield name, value
        elif isinstance(value, dict):
            yield from ((f"{name}.{inner}", values) for inner, values in _lists(value))
