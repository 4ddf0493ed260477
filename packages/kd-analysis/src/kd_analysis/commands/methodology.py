"""`kd-analysis methodology`: the facts for a thesis chapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def methodology(
    experiments: Annotated[Path, typer.Argument(help="Folder of runs, of any round.")],
    campaign: Annotated[
        Path | None, typer.Option("--campaign", help="Campaign file: what was planned, and the site's own facts.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX to be \\input.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a methodology chapter may say.

    Cluster, jobs, times, seeds, versions, dates, each with its source.

    What was planned, too: kd-analysis methodology experiments --campaign FILE

    To be included: kd-analysis methodology experiments --latex
    """
    from kd_analysis.methodology.chapter import as_latex, as_markdown
    from kd_analysis.methodology.facts import methodology as facts
    from kd_analysis.reading.runs_table import collect
    from kd_hpc.campaign import load_campaign
    from kd_hpc.screen.terminal import print_json

    plan = load_campaign(campaign) if campaign else None
    chapter = facts(collect(experiments, plan), plan)
    if as_json:
        print_json(chapter.as_json())
    else:
        print(as_latex(chapter) if latex else as_markdown(chapter), end="")
