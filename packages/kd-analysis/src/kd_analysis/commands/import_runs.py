"""`kd-analysis import`: results that others publish, as runs that the report reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def import_runs(
    source: Annotated[Path, typer.Argument(help="Folder (or file) of results: results.json, worklog.txt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of runs to write.")],
    dataset: Annotated[str | None, typer.Option("--dataset", help="Data set, where the files do not say it.")] = None,
) -> None:
    """Read what others publish into run folders.

    The report then says what it shows. Known are results.json (an object a run, with a history by epoch) and
    worklog.txt of mdistiller and its kin.

    Example: kd-analysis import results.json -o theirs --dataset Cifar10
    """
    from kd_analysis.importing.import_runs import import_runs as import_all

    found = import_all(source, output, dataset)
    for place, result in found.runs.items():
        print(f"{place}: {result.acc_last:.2f} % after {result.epochs} epochs, from {result.source}")
    for cell in found.numbered:
        print(f"{cell}: no seed is stated; runs are numbered, and pairing them means nothing", file=sys.stderr)
    for problem in found.problems:
        print(f"not read: {problem}", file=sys.stderr)
    print(f"{len(found.runs)} runs in {output}. Next: kd-analysis report {output} -o report", file=sys.stderr)
    if found.problems:
        raise typer.Exit(1)
