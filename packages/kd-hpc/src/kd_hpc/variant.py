"""How a run differs from the ordinary run of its method: a control arm, other settings, a fork. Text <-> Variant.

The text is part of a directory's name, behind the method and a plus sign, and its parts are joined by plus signs:

    random_teacher                 a control arm
    other_teacher_1                the teacher of seed 1 instead of the run's own
    temperature_2                  a setting of the recipe that differs from the campaign's
    at_75_of_logit_0.5             a fork: it shares every bit with logit at alpha 0.5 up to epoch 75
    at_75_of_logit--shuffled_0.5   a fork of a run that is a variant itself
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from kd_hpc.errors import IdentityError

_VALUE = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_SETTING = re.compile(rf"([a-z][a-z_]*)_({_VALUE})")
_OTHER_TEACHER = re.compile(r"other_teacher_(0|[1-9][0-9]{0,9})")
_FORK = re.compile(r"at_([1-9][0-9]{0,5})_of_(.+)")
_PARENT = re.compile(r"(.+)_((?:0|1)(?:\.[0-9]+)?)")
_JOIN, _JOIN_OF_PARENT = "+", "--"


class Control(StrEnum):
    """Arms that tell a teacher's knowledge from everything else that distillation changes."""

    HARD = "hard"
    """No method and no label smoothing: cross-entropy on hard labels alone."""
    RANDOM_TEACHER = "random_teacher"
    """The teacher's network untrained: any second loss."""
    OTHER_TEACHER = "other_teacher"
    """A trained teacher of another seed: is it the own teacher that counts?"""
    SHUFFLED = "shuffled"
    """Targets permuted among the items of a class within the batch: what is known of classes without items."""


class Fork(NamedTuple):
    """`epoch` finished epochs are the parent's, which is the run of `method`, `variant` and `alpha` beside this one."""

    epoch: int
    method: str
    alpha: float | None
    variant: str = ""


class Variant(NamedTuple):
    """What the text says. `settings`: recipe fields and their values, as written."""

    control: Control | None = None
    teacher_seed: int | None = None
    settings: tuple[tuple[str, str], ...] = ()
    fork: Fork | None = None

    def __str__(self) -> str:
        parts = [] if self.control is None else [self.control.value]
        if self.teacher_seed is not None:
            parts = [f"{Control.OTHER_TEACHER}_{self.teacher_seed}"]
        parts += [f"{name}_{value}" for name, value in sorted(self.settings)]
        parts += [_fork_text(self.fork)] if self.fork else []
        return _JOIN.join(parts)


def format_alpha(alpha: float | None) -> str:
    """The shortest decimal without exponent: 0.25, 0.5, 1, 0.00001."""
    text = format(Decimal(repr(alpha)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_setting(value: float | str) -> str:
    """A recipe field's value as a variant spells it: numbers as alphas are, words as they are."""
    return format_alpha(value) if isinstance(value, float) else str(value)


def arm(method: str, variant: str) -> str:
    """The method with what differs from it, as directories and tables name both."""
    return f"{method}{_JOIN}{variant}" if variant else method


def split_arm(text: str) -> tuple[str, str]:
    """Method and variant of what `arm` made."""
    method, _, variant = text.partition(_JOIN)
    return method, variant


@lru_cache(maxsize=4096)
def parse_variant(text: str) -> Variant:
    """The variant that `text` names. Raises IdentityError for what is none, or is not spelled as `str` spells it."""
    variant = Variant()
    for part in text.split(_JOIN) if text else ():
        variant = _with_part(variant, part, text)
    if str(variant) != text:
        raise IdentityError(f"{text!r} is no variant.", remedy=f"Write {str(variant)!r}.")
    return variant


def _with_part(variant: Variant, part: str, text: str) -> Variant:
    if variant.fork is None and (fork := _FORK.fullmatch(part)):
        return variant._replace(fork=_fork(int(fork[1]), fork[2]))
    if variant.control is None and (other := _OTHER_TEACHER.fullmatch(part)):
        return variant._replace(control=Control.OTHER_TEACHER, teacher_seed=int(other[1]))
    if variant.control is None and part in (Control.HARD, Control.RANDOM_TEACHER, Control.SHUFFLED):
        return variant._replace(control=Control(part))
    if (setting := _SETTING.fullmatch(part)) and setting[1] not in dict(variant.settings):
        return variant._replace(settings=(*variant.settings, (setting[1], setting[2])))
    raise IdentityError(
        f"{text!r} is no variant: {part!r} is neither a control arm nor a setting nor a fork.",
        remedy=f"Control arms: {', '.join(Control)} (other_teacher_SEED).",
    )


def _fork(epoch: int, parent: str) -> Fork:
    match = _PARENT.fullmatch(parent)
    text, alpha = (match[1], float(match[2])) if match else (parent, None)
    method, _, variant = text.partition(_JOIN_OF_PARENT)
    variant = variant.replace(_JOIN_OF_PARENT, _JOIN)
    if parse_variant(variant).fork:
        raise IdentityError("A fork of a fork cannot be named.", remedy="Fork the first parent at the later epoch.")
    return Fork(epoch, method, alpha, variant)


def _fork_text(fork: Fork) -> str:
    parent = arm(fork.method, fork.variant).replace(_JOIN, _JOIN_OF_PARENT)
    return f"at_{fork.epoch}_of_{parent}" + ("" if fork.alpha is None else f"_{format_alpha(fork.alpha)}")
