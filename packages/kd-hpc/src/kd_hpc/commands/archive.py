"""kd-hpc archive: close a round."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import DryRunOption, ExperimentsOption


def archive(
    name: Annotated[str, typer.Argument(help="What the round is called, such as beta.")],
    experiments: ExperimentsOption = Path("experiments"),
    upcoming: Annotated[
        Path | None, typer.Option("--next", help="The campaign file that comes next, for the README.")
    ] = None,
    no_job_is_alive: Annotated[
        bool,
        typer.Option("--no-job-is-alive", help="You know that no job works on runs whose records leave it open."),
    ] = False,
    runs_only: Annotated[
        bool,
        typer.Option("--runs-only", help="Move the runs and write no page: for a cluster's clone, left as git has it."),
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Close a round: put its runs away and write their page.

    They go to analysis/experiment_NAME, and the folder is empty for the next. Nothing is deleted; killed anywhere,
    the same command goes on. It refuses while a job may be alive. Done again, it writes the page again and keeps the
    author's words in it. From then on the round's campaigns are not queued again, unless --anew says that one is to
    be trained again.

    Look first: kd-hpc archive beta --dry-run

    Then: kd-hpc archive beta --next campaigns/charlie.toml

    First, on a cluster: kd-hpc archive beta --runs-only
    """
    from kd_hpc.archiving.archive import close, open_round, require_nobody_at_work, steps
    from kd_hpc.campaign import load_campaign

    following = (upcoming, load_campaign(upcoming)) if upcoming else None
    found = open_round(name, experiments)
    require_nobody_at_work(found, word_given=no_job_is_alive)
    if dry_run:
        for sentence in steps(found, runs_only=runs_only):
            print(sentence)
        print("Nothing was done.", file=sys.stderr)
        return
    for sentence in close(found, following, word_given=no_job_is_alive, runs_only=runs_only):
        print(sentence, flush=True)
