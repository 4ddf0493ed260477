"""A recipe on the command line: one option a field, with the field's own default, bounds and meaning."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kd_hpc.command import flag
from kd_hpc.errors import UsageError
from kd_hpc.recipe import Recipe


def with_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option for each field of a recipe in place of its parameter `recipe`."""

    @wraps(command)
    def typed(**words: Any) -> None:
        fields = {name: words.pop(name) for name in Recipe.model_fields}
        command(**words, recipe=recipe_from(fields))

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "recipe"]
    options = [_option(name, field) for name, field in Recipe.model_fields.items()]
    typed.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return typed


def recipe_from(typed: dict[str, Any]) -> Recipe:
    """The recipe that was typed. Raises UsageError with the option's name."""
    try:
        return Recipe.model_validate({name: _value(Recipe.model_fields[name], typed[name]) for name in typed})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{flag(str(first['loc'][0]))}: {message} (got {first['input']!r}).", remedy="See kd-core train --help"
        ) from None


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, default = _kind(field), field.default
    several = isinstance(default, dict | tuple)
    notes = [field.description or "", _choices(field), "May be repeated." if several else ""]
    spelled = f"{flag(name)}/{flag(name).replace('--', '--no-', 1)}" if kind is bool else flag(name)
    option = typer.Option(spelled, help=" ".join(filter(None, notes)))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None if several else default, annotation=Annotated[kind, option]
    )


def _kind(field: FieldInfo) -> Any:
    """What typer reads: the field's own type where it is a simple one, else words for pydantic to judge."""
    if isinstance(field.default, dict):
        return list[str] | None
    if isinstance(field.default, tuple):
        return list[get_args(field.annotation)[0]] | None  # type: ignore[misc] # known when it runs
    return field.annotation if field.annotation in (bool, int, float) else str


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    *others, last = get_args(field.annotation)
    return f"One of {', '.join(others)} and {last}."


def _value(field: FieldInfo, typed: Any) -> Any:
    match field.default:
        case dict():
            return {name: value for name, _, value in (word.partition("=") for word in typed or ())}
        case tuple():
            return tuple(typed or ())
    return typed
