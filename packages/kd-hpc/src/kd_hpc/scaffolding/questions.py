"""What is asked at a terminal about a new campaign. Enter takes what is usual; what cannot be is asked again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import typer

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.catalogue import DATASETS, METHODS, MODELS, SCHEDULERS
from kd_hpc.errors import UsageError
from kd_hpc.scaffolding.wishes import USUAL, Wishes, scheduler_here
from kd_hpc.screen.near import did_you_mean

Check = Callable[[str], Any]


def wishes_of(given: Mapping[str, Any], *, ask: bool) -> Wishes:
    """What is `given`, then what is answered if `ask`, then what is usual. Raises UsageError."""
    scheduler = given.get("scheduler") or scheduler_here()
    if ask and "scheduler" not in given:
        scheduler = _ask("Where do jobs run: local (this machine), pbs or slurm", scheduler, one_of(SCHEDULERS))
    if scheduler not in SCHEDULERS:
        raise UsageError(f"No scheduler is called {scheduler}.", remedy=_meant(scheduler, SCHEDULERS))
    usual = replace(USUAL[scheduler], **{name: value for name, value in given.items() if name != "scheduler"})
    return _asked(usual, given) if ask else usual


def _asked(usual: Wishes, given: Mapping[str, Any]) -> Wishes:
    """`usual` with an answer for each field that nobody has `given`."""
    answers: dict[str, Any] = {}
    for name, (question, check) in _questions(usual.scheduler).items():
        if name not in given:
            answers[name] = _ask(question, _shown(getattr(usual, name)), check)
    return replace(usual, **answers)


def _questions(scheduler: str) -> dict[str, tuple[str, Check]]:
    """Question and check by field, in the order in which they are asked."""
    questions: dict[str, tuple[str, Check]] = {
        "datasets": ("Data sets (? lists them)", some_of(DATASETS)),
        "teacher": ("Teacher (? lists them)", one_of(MODELS)),
        "student": ("Student", one_of(MODELS)),
        "methods": ("Methods", some_of(METHODS)),
        "alphas": ("Strengths of the method, from 0 to 1", _alphas),
        "seeds": ("How many seeds", _count),
    }
    if scheduler == "local":
        return questions
    named = {"pbs": ("Queue", "Project code"), "slurm": ("Partition", "Account")}[scheduler]
    return questions | {
        "queue": (f"{named[0]} (- for the default)", _of_resources("queue")),
        "project": (f"{named[1]} (- for none)", _of_resources("project")),
        "walltime": ("Walltime of a job, HH:MM:SS", _of_resources("walltime")),
        "gpu_type": ("Kind of GPU, as the site calls it (- for any)", _of_resources("gpu_type")),
        "modules": ("Modules to load (- for none)", lambda text: tuple(_of_resources("modules")(text.split()))),
    }


def one_of(known: Collection[str]) -> Check:
    def check(word: str) -> str:
        if word not in known:
            raise typer.BadParameter(
                f"{word} is not known. {did_you_mean(word, known) or 'Known: ' + ', '.join(known)}"
            )
        return word

    return check


def _meant(word: str, known: Collection[str]) -> str:
    return did_you_mean(word, known) or f"Known: {', '.join(known)}."


def some_of(known: Collection[str]) -> Check:
    return lambda text: tuple(map(one_of(known), dict.fromkeys(text.replace(",", " ").split())))


def _alphas(text: str) -> tuple[float, ...]:
    try:
        alphas = tuple(dict.fromkeys(map(float, text.replace(",", " ").split())))
    except ValueError:
        raise typer.BadParameter("Numbers, with spaces between.") from None
    if not all(0 <= alpha <= 1 for alpha in alphas):
        raise typer.BadParameter("From 0 to 1.")
    return alphas


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise typer.BadParameter("A whole number, at least 1.")
    return int(text)


def _of_resources(name: str) -> Check:
    """A check that asks the campaign file's own schema; - is nothing."""

    def check(value: Any) -> Any:
        if value in ("-", ["-"]):
            return type(value)()
        try:
            return getattr(Resources.model_validate({name: value}), name)
        except ValueError as error:
            reason = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error)
            raise typer.BadParameter(reason.removeprefix("Value error, ")) from None

    return check


def _shown(value: Any) -> str:
    """The usual answer as it would be typed."""
    return (" ".join(map(str, value)) if isinstance(value, tuple) else str(value)) or "-"


def _ask(question: str, usual: str, check: Check) -> Any:
    return typer.prompt(question, default=usual, value_proc=check, err=True)
