"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

CampaignArgument = Annotated[Path, typer.Argument(help="A campaign file, such as campaigns/digits.toml.")]
CampaignOption = Annotated[
    Path | None, typer.Option("--campaign", help="The campaign file.  [default: the one queued last]")
]
ExperimentsOption = Annotated[Path, typer.Option(help="The folder that holds all runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="recipe.NAME=VALUE: every run on which that acts, so varied; may be repeated."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RunArgument = Annotated[str, typer.Argument(help="A run: its path below the experiments folder, a job id or a token.")]
RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Runs: paths, folders or 'Cifar100/rkd/*' below the experiments folder, job ids, tokens."),
]
StateOption = Annotated[
    list[str] | None, typer.Option("--state", help="Only runs in this state, such as failed; may be repeated.")
]


def require_runs(runs: Sequence[str] | None, states: Sequence[str] | None) -> None:
    """Raise UsageError where neither a run nor a state was typed: nobody means every run by saying nothing."""
    from kd_hpc.errors import UsageError

    if not runs and not states:
        raise UsageError("Which runs are meant?", remedy="Name some, or a state: kd-hpc status shows what there is.")
