"""kd-hpc check: whether the files of all runs still hold what was written into them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption, JsonOption


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of weights, checkpoints and arrays.")] = False,
    experiments: ExperimentsOption = Path("experiments"),
    as_json: JsonOption = False,
) -> None:
    """Verify that every file still holds what was written into it.

    By the digest written with each; the exit status is 1 if any is damaged or missing.

    Records, curves and kd-hpc's own files, and whether the rest is there: kd-hpc check

    Everything, as after a copy or once a month: kd-hpc check --deep
    """
    from kd_hpc.errors import UsageError
    from kd_hpc.inspection.integrity import check_tree
    from kd_hpc.inspection.integrity_text import lines, progress
    from kd_hpc.screen.terminal import print_json
    from kd_hpc.store import Store

    if not experiments.is_dir():
        raise UsageError(f"The experiments folder {experiments} does not exist.", remedy="Name it: --experiments")
    checked = check_tree(Store(experiments), deep=deep, progress=progress)
    if as_json:
        print_json(checked.as_json())
    else:
        print("\n".join(lines(checked)))
    if checked.damages:
        raise typer.Exit(1)
