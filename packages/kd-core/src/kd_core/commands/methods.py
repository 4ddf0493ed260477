"""kd-core methods: what each distillation method is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kd_core.method_listing import MethodFacts


def methods(
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure each term's value and pull on the student at the start.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the distillation methods: definition, source, weights.

    Example: kd-core methods --probe

    How to add one: docs/guide/a-campaign-of-your-own.md
    """
    from dataclasses import asdict

    from kd_core import method_listing
    from kd_hpc.terminal import print_json, print_table

    if probe:
        terms = [asdict(row) for row in method_listing.probe()]
        if as_json:
            print_json({"terms": terms})
            return
        header = ("method", "term", "weight", "value", "pull", "weighted pull")
        print_table(header, [tuple(map(_cell, row.values())) for row in terms])
        print("Pull: the norm of the term's gradient over that of cross-entropy, both on the student's parameters.")
        return
    found = method_listing.describe()
    if as_json:
        print_json({"methods": [asdict(method) for method in found]})
        return
    for method in found:
        _print(method)


def _print(method: MethodFacts) -> None:
    from kd_hpc.terminal import paint, paragraph

    trains = f"{method.trained:,} parameters beside the student" if method.trained else "the student alone"
    stage = ", and something on the teacher before" if method.first_stage else ""
    print(paint(method.name, "bold"))
    for name, value in (
        ("is", method.definition),
        ("weights", _cell(method.weights)),
        ("trains", trains + stage),
        ("source", method.source),
    ):
        print(paragraph(value, f"    {name:<9}"))


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {weight:g}" for name, weight in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
