"""docs/guide/json.md as a check: does a value have just the fields, of just the types, that its tables promise?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.paths import ROOT

PAGE = ROOT / "docs/guide/json.md"
KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def documented() -> dict[str, dict[str, str]]:
    """The type of every field, as written, by heading and path."""
    found: dict[str, dict[str, str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", body, flags=re.MULTILINE)
        found[heading] = {path: kind.strip() for path, kind in rows}
        assert len(found[heading]) == len(rows), f"a field of {heading} is there twice"
    return found


def complaints(value: Any, fields: dict[str, str], path: str = "") -> Iterator[str]:
    """Where `value`, found at `path`, is not what `fields` says."""
    if path and (wrong := _wrong_kind(value, fields[path])):
        yield f"{path} is {wrong}, not {fields[path]}"
    elif isinstance(value, list):
        yield from _list(value, fields, path)
    elif isinstance(value, dict):
        yield from _object(value, fields, path)


def _wrong_kind(value: Any, documented_kind: str) -> str:
    kinds = [word for word in re.split(r" or |, optional", documented_kind) if word]
    fits = any(isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds)
    return "" if fits else type(value).__name__


def _list(value: list[Any], fields: dict[str, str], path: str) -> Iterator[str]:
    entry = f"{path}[]"
    of_objects = any(known.startswith(f"{entry}.") for known in fields)
    for item in value:
        if entry in fields:
            yield from complaints(item, fields, entry)
        elif of_objects and isinstance(item, dict):
            yield from _object(item, fields, entry)
        else:
            yield f"{entry} is not documented"


def _object(value: dict[str, Any], fields: dict[str, str], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    names = {known.removeprefix(prefix) for known in fields if known.startswith(prefix)}
    names = {name for name in names if not re.search(r"[.\[{]", name)}
    anything = f"{path}{{}}"
    if anything in fields:
        for item in value.values():
            yield from complaints(item, fields, anything)
        return
    if path and not names:
        return  # documented as an object, and no more
    for name, item in value.items():
        if name not in names:
            yield f"{prefix}{name} is not documented"
        else:
            yield from complaints(item, fields, f"{prefix}{name}")
    for name in names - value.keys():
        if "optional" not in fields[f"{prefix}{name}"]:
            yield f"{prefix}{name} is missing"
