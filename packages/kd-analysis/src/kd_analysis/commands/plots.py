"""`kd-analysis plots`: curves of each run and overviews, only where something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plots(
    experiments: Annotated[Path, typer.Argument(help="Folder of runs, of any round.")],
) -> None:
    """Draw what changed since the last time."""
    raise NotImplementedError(experiments)
