"""What is wrong with a campaign file, in the file's own terms: its line, its kind of value, what to write instead."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kd_hpc.errors import CampaignError
from kd_hpc.screen.near import did_you_mean, nearest_file

FILES = "campaigns/*.toml"
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def is_missing(path: Path) -> CampaignError:
    """There is no file at `path`: what may have been meant."""
    if near := nearest_file(path, FILES):
        return CampaignError(f"There is no campaign file {path}.", remedy=f"Did you mean {near}?")
    there = ", ".join(map(str, sorted(Path().glob(FILES))))
    remedy = f"There are {there}; a new one: kd-hpc init" if there else "Make one: kd-hpc init"
    return CampaignError(f"There is no campaign file {path}.", remedy=f"{remedy}.")


def explain(path: Path, error: ValidationError, schema: type[BaseModel]) -> CampaignError:
    """The first thing that is wrong with the file at `path`, which was to be a `schema`."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    what, remedy = _words(first, place, schema)
    return CampaignError(f"{path}: {what}", remedy=remedy)


def _words(error: ErrorDetails, place: list[str], schema: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and what to write."""
    kind, value = error["type"], error["input"]
    names = [part for part in place if not part.isdigit()]
    key, table = (names[-1], names[:-1]) if names else ("", [])
    is_entry = names != place
    line = f"{_toml(value)} in {'.'.join(names)}" if is_entry else f"{'.'.join(names)} = {_toml(value)}"
    if not names:
        return f"{error['msg'].removeprefix('Value error, ')}.", "Mend those lines."
    if kind == "extra_forbidden":
        return f"{'.'.join(names)} is not a known key.", _known_key(key, table, schema)
    if kind == "missing":
        return f"{'.'.join(names)} is missing.", f"Add a line {key} = ..."
    if kind == "tuple_type":
        return f"{line} is not a list.", f"Write {key} = [{_toml(value)}]."
    if kind in ("model_type", "dict_type"):
        return f"{line} is not a table.", f"Write a line [{'.'.join(names)}], and what belongs into it below."
    if kind == "too_short":
        return f"{line} is empty.", f"Name at least one: {key} = [...]."
    if kind == "string_type":
        return f"{line} is not text.", f'Write it in quotes: {key} = "...".'
    if kind in ("literal_error", "enum"):
        return f"{line} is not known.", f"Known: {error['ctx']['expected']}."
    return _about_numbers(error, line, key if not is_entry else "")


def _about_numbers(error: ErrorDetails, line: str, key: str) -> tuple[str, str]:
    kind, value, limits = error["type"], error["input"], error.get("ctx") or {}
    begin = f"{key} = " if key else ""
    if isinstance(value, float) and kind in ("int_type", "int_from_float"):
        return f"{line} is not a whole number.", f"Write {begin}{round(value)}, say."
    if kind in ("int_type", "float_type"):
        if isinstance(value, str) and _is_number(value):
            return f"{line} is text, not a number.", f"Write it without quotes: {begin}{value}."
        return f"{line} is not a number.", f"Write {begin}3, say."
    for name, words in _LIMITS.items():
        if name in limits:
            return f"{line} is out of range.", f"It must be {words} {limits[name]:g}."
    return f"{line}: {error['msg'].removeprefix('Value error, ')}.", "Mend that line."


def _known_key(key: str, table: list[str], schema: type[BaseModel]) -> str:
    """What may have been meant by `key` in `table`, or what is known there."""
    models = list(_models(schema, table))
    known = [name for model in models for name in model.model_fields]
    if near := did_you_mean(key, known):
        return near
    elsewhere = [name for name, model in _tables(schema) if key in model.model_fields]
    return f"It belongs below a line [{elsewhere[0]}]." if elsewhere else "Delete that line or mend its spelling."


def _models(schema: type[BaseModel], table: list[str]) -> Iterator[type[BaseModel]]:
    """The schema of the table with that name."""
    if not table:
        yield schema
        return
    for name, model in _tables(schema):
        if name == table[0]:
            yield from _models(model, table[1:])


def _tables(schema: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in schema.model_fields.items():
        for kind in _alternatives(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield name, kind


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The kinds that a field may have, looked for inside unions and lists."""
    if get_origin(annotation) in (Union, types.UnionType, tuple, dict):
        return tuple(kind for part in get_args(annotation) for kind in _alternatives(part))
    return (annotation,)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _toml(value: Any) -> str:
    """As the file spells it, as far as one line holds that."""
    if isinstance(value, Mapping):
        return "{...}"
    return json.dumps(value, default=str, ensure_ascii=False)
