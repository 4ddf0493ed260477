"""Settings typed behind a campaign file (--set recipe.lr=0.05), as a line of that file: it can be read again."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

from kd_hpc.errors import UsageError
from kd_hpc.recipe import VARIABLE
from kd_hpc.screen.near import did_you_mean

_LINE = re.compile(r"^settings[ \t]*=.*\n?", flags=re.MULTILINE)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


def with_settings(text: str, words: Iterable[str]) -> str:
    """The campaign file `text` with what was typed, such as "recipe.lr=0.05". Raises UsageError."""
    typed = dict(map(_setting, words))
    if not typed:
        return text
    before = tomllib.loads(text).get("settings", {})
    settings = {**{name: _toml(value) for name, value in before.items()}, **typed}
    line = "settings = { " + ", ".join(f"{name} = {value}" for name, value in settings.items()) + " }\n"
    return line + _LINE.sub("", text)


def _setting(word: str) -> tuple[str, str]:
    path, equals, value = word.partition("=")
    table, _, name = path.partition(".")
    if not equals or not value or table != "recipe" or not name:
        raise UsageError(f"--set {word!r} is not recipe.NAME=VALUE.", remedy="Write, say, --set recipe.lr=0.05")
    if name not in VARIABLE:
        remedy = did_you_mean(name, VARIABLE) or f"Settings: {', '.join(VARIABLE)}."
        raise UsageError(f"--set {word}: {name} is no setting that runs may have of their own.", remedy=remedy)
    return name, value if _NUMBER.fullmatch(value) else _toml(value)


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int | float) else '"' + str(value).replace('"', "") + '"'
