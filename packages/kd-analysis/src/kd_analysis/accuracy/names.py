"""Names and numbers for people, one spelling everywhere, and the order in which things are shown."""

from __future__ import annotations

from collections.abc import Iterable

from kd_hpc.catalogue import METHODS, MODELS, PURE
from kd_hpc.variant import Control, arm, format_alpha, split_arm

HARD = arm(PURE, Control.HARD)
"""The student on hard labels alone: no teacher, no label smoothing."""
_METHODS = {
    "logit": "Logit KD",
    "factor_transfer": "FT",
    "attention_transfer": "AT",
    "fitnets": "FitNets",
    "rkd": "RKD",
    "nst": "NST",
    "dkd": "DKD",
    "dist": "DIST",
    "sp": "SP",
    PURE: "pure student",
    HARD: "hard-label student",
}


def rank(name: str, known: Iterable[str]) -> tuple[int, str]:
    """Sort key: names of the catalogue in its order, others after them by name."""
    order = list(known)
    return (order.index(name) if name in order else len(order), name)


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names in the catalogue's order, unknown ones last."""
    order = list(known)
    return sorted(names, key=lambda name: rank(name, order))


def method_order(method: str) -> tuple[object, ...]:
    """Sort key: methods in the catalogue's order, each before its own variants."""
    name, variant = split_arm(method)
    return (*rank(name, METHODS), variant)


def network_order(name: str) -> tuple[object, ...]:
    """Sort key for rows of networks: methods in the catalogue's order, pure networks before, larger ones first."""
    if name == PURE or name.startswith(f"{PURE} "):
        return (0, *rank(name.removeprefix(f"{PURE} "), MODELS))
    return (1, *method_order(name))


def ordered_models(names: Iterable[str]) -> list[str]:
    """Networks, largest first."""
    return ordered(names, MODELS)


def show_alpha(alpha: float | None) -> str:
    """For labels: the shortest decimal, or a question mark where nothing records it."""
    return "?" if alpha is None else format_alpha(alpha)


def show_method(method: str) -> str:
    """For labels: the method's name as papers write it; a variant behind it in words."""
    if method in _METHODS:
        return _METHODS[method]
    name, variant = split_arm(method)
    shown = _METHODS.get(name, name.replace("_", " "))
    return f"{shown} ({variant.replace('_', ' ').replace('+', ', ')})" if variant else shown


def is_variant(method: str) -> bool:
    """True for a control arm, another setting or a fork: no ordinary run of its method."""
    return bool(split_arm(method)[1])


def fixed(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with so many decimals; one that rounds to zero has no sign."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    return f"+{text}" if signed and value > 0 else text
