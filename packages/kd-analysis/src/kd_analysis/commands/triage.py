"""`kd-analysis triage`: a verdict with evidence for every run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def triage(
    experiments: Annotated[Path, typer.Argument(help="Folder of runs, of any round.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also runs with nothing against them.")] = False,
    cache: Annotated[Path | None, typer.Option("--cache", help="Where computed numbers are kept.")] = None,
) -> None:
    """Say which runs can be trusted, and why others cannot.

    Example: kd-analysis triage experiments --json
    """
    from kd_analysis.analysis import read_and_judge
    from kd_analysis.representations.cache import Cache, default_root
    from kd_hpc.screen.terminal import print_json

    tree, _ = read_and_judge(experiments, None, Cache((cache or default_root()) / "geometry"), 1)
    if as_json:
        rows = [
            {
                "run": item.run.path,
                "state": item.run.state,
                "verdict": str(item.verdict),
                "findings": [
                    {"code": f.code, "severity": f.severity.name.lower(), "evidence": f.evidence} for f in item.findings
                ],
            }
            for item in tree.runs
        ]
        print_json({"runs": rows, "not_runs": [vars(stray) for stray in tree.strays]})
        return
    for item in tree.runs:
        if everything or item.findings or not item.usable:
            print(f"{item.verdict:<10} {item.run.path}  {item.evidence}".rstrip())
    for stray in tree.strays:
        print(f"{'not a run':<10} {stray.path}  {stray.reason}")
    counted = len(tree.usable)
    print(f"{counted} of {len(tree.runs)} runs are finished, sound and counted.")
