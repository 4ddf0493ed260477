"""The recipe beside other practice, with what the runs at hand have otherwise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kd_analysis.methodology.chapter import FactTable, Part
from kd_analysis.methodology.practice import HEADER, PRACTICE
from kd_hpc.recipe import Recipe
from kd_hpc.records import StatusRecord


def recipe_parts(records: Sequence[StatusRecord]) -> Iterator[Part]:
    """The recipe beside other practice, for runs that kd-core trained with one."""
    recipes = [Recipe.recorded(record.recipe) for record in records if record.recipe]
    note = f"kd's own recipe beside others; where any of {len(recipes)} runs recorded another value, it follows."
    for title, rows in PRACTICE.items() if recipes else ():
        cells = tuple(row._replace(ours=row.ours + _others(row.fields, recipes)).cells for row in rows)
        yield Part(f"Recipe: {title.lower()}", grid=FactTable(note, HEADER, cells))


def _others(fields: Iterable[str], recipes: Sequence[Recipe]) -> str:
    """Which other values than the default the recipes have of these fields, each with its count."""
    usual = Recipe().model_dump(mode="json")
    recorded = [recipe.model_dump(mode="json", warnings=False) for recipe in recipes]
    values = Counter(
        (field, _shown(values[field])) for values in recorded for field in fields if values[field] != usual[field]
    )
    told = ", ".join(f"{field} {value} ({count})" for (field, value), count in sorted(values.items()))
    return f"; here {told}" if told else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
