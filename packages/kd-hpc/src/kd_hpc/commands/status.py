"""kd-hpc status: the runs as their records tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import ExperimentsOption, JsonOption, StateOption


def status(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CAMPAIGN] [RUN]...", help="A campaign file, and runs: paths, folders, job ids, 'Cifar100/rkd/*'."
        ),
    ] = None,
    state: StateOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run, every reason, however long.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it until Ctrl-C, always fresh.")] = False,
    experiments: ExperimentsOption = Path("experiments"),
    as_json: JsonOption = False,
) -> None:
    """Show on one screen how far everything is.

    The grid, what is at work, what needs you, when it ends. Reads records only, so it is quick and needs no scheduler.

    All that was queued here: kd-hpc status

    A campaign, also before it was queued: kd-hpc status campaigns/digits.toml

    Some runs, one by one: kd-hpc status 'Cifar100/rkd/*' --state failed
    """
    from kd_hpc.errors import UsageError
    from kd_hpc.inspection.glance import Glance, split_words
    from kd_hpc.screen.terminal import print_json

    campaign, runs = split_words(which or [])
    glance = Glance(experiments, campaign, runs, state or [])
    if watch and (everything or as_json or glance.is_selective):
        raise UsageError("--watch shows one screen of everything.", remedy="Leave the other words away.")
    if as_json:
        print_json(glance.as_json())
    elif watch:
        glance.watch()
    else:
        glance.show(everything=everything)
