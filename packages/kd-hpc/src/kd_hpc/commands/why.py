"""kd-hpc why: the chain of evidence about one run, or the reasons of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import (
    CampaignOption,
    ExperimentsOption,
    JsonOption,
    RunsArgument,
    StateOption,
    require_runs,
)


def why(
    runs: RunsArgument = None,
    state: StateOption = None,
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    everything: Annotated[bool, typer.Option("--all", help="More than a screen, if there is more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say in plain words why a run stands where it stands.

    Record, attempts, owner, the scheduler's word, what the next round would do, and what to type.

    By its path: kd-hpc why Digits/pure/ResNet20/0

    By a job's id or name, or the token in it: kd-hpc why 7002784.sched01

    Several, by reason, from their records alone: kd-hpc why 'Digits/logit/*'
    """
    from kd_hpc.inspection.rows import read_rows
    from kd_hpc.inspection.selection import Selection, names_one
    from kd_hpc.inspection.why import as_json as links_json
    from kd_hpc.inspection.why import chain
    from kd_hpc.inspection.why_text import chain_lines, group_lines, groups_json
    from kd_hpc.screen.terminal import print_json, screen_size
    from kd_hpc.store import Store

    require_runs(runs, state)
    store = Store(experiments)
    columns, lines = screen_size()
    room = None if everything else lines - 1
    rows = Selection(read_rows(store, None, campaign), store.root).select(runs or [], state or [])
    if len(rows) == 1 or names_one(rows, runs or []):
        links = chain(store, rows[0].found, campaign)
        if as_json:
            print_json({"run": rows[0].label, "links": links_json(links)})
        else:
            print("\n".join(chain_lines(links, columns, room)))
    elif as_json:
        print_json({"groups": groups_json(rows)})
    else:
        print("\n".join(group_lines(rows, store.root, columns, room)))
