"""A recipe on the command line: one option a field, with the field's own default, bounds and meaning.

The options are made when a command line is read or explained, not when the command is registered: a field's declaration
needs pydantic, and `kd-core --help` waits for nothing heavy.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from kd_hpc.recipe import Recipe


class RecipeCommand(TyperCommand):
    """A command with an option for each field of a recipe, which its function finds as `context.obj`."""

    def get_params(self, ctx: Any) -> list[Any]:
        *own, help_option = super().get_params(ctx)
        return [*own, *_options(), help_option]

    def invoke(self, ctx: Any) -> Any:
        ctx.obj = recipe_from({option.name: ctx.params.pop(option.name) for option in _options()})
        return super().invoke(ctx)


def recipe_from(typed: dict[str, Any]) -> Recipe:
    """The recipe that was typed. Raises UsageError with the option's name."""
    from pydantic import ValidationError

    from kd_hpc.command import flag
    from kd_hpc.errors import UsageError
    from kd_hpc.recipe import Recipe

    try:
        return Recipe.model_validate({name: _value(Recipe.model_fields[name], typed[name]) for name in typed})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{flag(str(first['loc'][0]))}: {message} (got {first['input']!r}).", remedy="See kd-core train --help"
        ) from None


@cache
def _options() -> tuple[Any, ...]:
    """The options as typer makes them from the signature of a function."""
    from typer.main import get_command

    from kd_hpc.recipe import Recipe

    def recipe(**fields: Any) -> None: ...

    parameters = [_parameter(name, field) for name, field in Recipe.model_fields.items()]
    recipe.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(recipe)
    return tuple(get_command(app).params)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    from kd_hpc.command import flag

    kind, several = _kind(field), isinstance(field.default, dict | tuple)
    notes = [field.description or "", _choices(field), "May be repeated." if several else ""]
    spelled = f"{flag(name)}/{flag(name).replace('--', '--no-', 1)}" if kind is bool else flag(name)
    option = typer.Option(spelled, help=" ".join(filter(None, notes)))
    default = None if several else field.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


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
