"""kd-core methods: what each distillation method is here."""

from __future__ import annotations

from typing import Annotated

import typer


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
    import json
    from dataclasses import asdict

    from kd_core import method_listing

    rows = method_listing.probe() if probe else method_listing.describe()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=dict))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    cells = [{name: _cell(value) for name, value in asdict(row).items()} for row in rows]
    for name in cells[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in cells:
        table.add_row(*row.values())
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {weight:g}" for name, weight in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
