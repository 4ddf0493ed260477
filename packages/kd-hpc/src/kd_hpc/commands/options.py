"""Options that several commands share."""

from __future__ import annotations

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
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RunArgument = Annotated[str, typer.Argument(help="A run: its path below the experiments folder, a job id or a token.")]
