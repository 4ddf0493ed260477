"""kd-hpc bundle: what a reviewer needs, in one archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption, RunsArgument


def bundle(
    name: Annotated[str, typer.Argument(help="What to call it: NAME.tar, in which lies the folder NAME.")],
    runs: RunsArgument = None,
    experiments: ExperimentsOption = Path("experiments"),
) -> None:
    """Pack finished runs so that anybody can audit them.

    Records, curves, weights and two neighbouring checkpoints of each; their teachers' weights, the campaign files and a
    SHA-256 of every file come with them, and a README.txt with the commands for whoever receives it. Without RUNS all
    that are completed.

    Example: kd-hpc bundle for-review 'Digits/logit/*'
    """
    from kd_hpc.archiving.bundle import bundle as pack
    from kd_hpc.experiment import check_name
    from kd_hpc.inspection.selection import find_runs
    from kd_hpc.records import State
    from kd_hpc.store import Store

    check_name("the bundle", name)
    store, target = Store(experiments), Path(f"{name}.tar")
    found = find_runs(store, runs or [], [] if runs else [State.COMPLETED.value])
    chosen = [run.require_experiment() for run in found]
    files = pack(store, chosen, name, target)
    print(f"{target}: {len(chosen)} runs, {files} files, {target.stat().st_size / 1e6:.1f} MB")
