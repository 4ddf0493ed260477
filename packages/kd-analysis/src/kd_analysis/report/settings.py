"""Every setting beside the runs that it acts on: a temperature is one of the runs that soften logits, no other's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kd_analysis.accuracy.names import method_order, show_method
from kd_hpc.triage.recipes import WEIGHTS, acting, is_pure
from kd_hpc.triage.run_directory import Run


@dataclass(frozen=True)
class Setting:
    """A setting's value, how many runs it acts on with that value, and which those are in words."""

    name: str
    value: str
    runs: int
    acts_on: str


def settings_of(runs: Sequence[Run]) -> tuple[Setting, ...]:
    """Every recorded setting that acts on a run, by name and value, in the order of the records."""
    found: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for name, value in acting(run).items():
            if name != WEIGHTS or value:
                found[name][_plain(value)].append(run)
    return tuple(
        Setting(name.replace("_", " "), value, len(with_it), _acts_on(with_it, runs))
        for name, values in found.items()
        for value, with_it in sorted(values.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def kind_of(run: Run) -> str:
    """What the run is an instance of, for people: a pure network, or a method."""
    identity = run.identity
    return f"pure {identity.student}" if is_pure(identity) else show_method(identity.method)


def _acts_on(with_it: Sequence[Run], every: Sequence[Run]) -> str:
    """All runs, all pure or all distilled ones, or kinds of run by name, with how many where not all of the kind."""
    if len(with_it) == len(every):
        return "all runs"
    for words, chosen in (("pure runs", True), ("distilled runs", False)):
        group = [run for run in every if is_pure(run.identity) is chosen]
        if len(with_it) == len(group) and all(is_pure(run.identity) is chosen for run in with_it):
            return f"all {words}"
    of, have = _counted(every), _counted(with_it)
    order = sorted(have, key=lambda kind: _order(kind, with_it))
    return ", ".join(kind if have[kind] == of[kind] else f"{kind} ({have[kind]} of {of[kind]})" for kind in order)


def _counted(runs: Iterable[Run]) -> Counter[str]:
    return Counter(map(kind_of, runs))


def _order(kind: str, runs: Iterable[Run]) -> tuple[object, ...]:
    method = next(run.identity.method for run in runs if kind_of(run) == kind)
    return (not kind.startswith("pure"), method_order(method), kind)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in sorted(value.items())) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "none"}[value]
    return f"{value:g}" if isinstance(value, int | float) else str(value)
