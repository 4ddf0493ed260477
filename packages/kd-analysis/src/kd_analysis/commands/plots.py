"""`kd-analysis plots`: curves of each run and overviews, only where something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plots(
    experiments: Annotated[Path, typer.Argument(help="Folder of runs, of any round.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to draw into.")] = Path("plots"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes to draw with.")] = 2,
) -> None:
    """Draw the curves of each run, and overviews.

    Only where something changed; says why a run was skipped.

    Example: kd-analysis plots experiments -o plots
    """
    from kd_analysis.plots import update_plots
    from kd_hpc.screen.progress import bar
    from kd_hpc.screen.terminal import print_json

    with bar() as step:
        outcomes = update_plots(experiments, output, workers, step("plots"))
    if as_json:
        print_json({"runs": [vars(outcome) for outcome in outcomes]})
        return
    for outcome in outcomes:
        print(f"{'drawn' if outcome.drawn else 'skipped':<8} {outcome.run}: {outcome.reason}")
    print(f"{sum(outcome.drawn for outcome in outcomes)} of {len(outcomes)} runs drawn, in {output}")
