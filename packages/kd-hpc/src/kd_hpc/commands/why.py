"""kd-hpc why: the chain of evidence about one run."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.commands.options import CampaignOption, ExperimentsOption, JsonOption, RunArgument


def why(
    run: RunArgument,
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in plain words why a run stands where it stands: record, attempts, owner, scheduler, decision, next command.

    By its path: kd-hpc why Digits/pure/ResNet20/0

    By a job's id or name, or the token in it: kd-hpc why 7002784.sched01
    """
    from kd_hpc.inspection.find_run import find_run
    from kd_hpc.inspection.why import as_json as links_json
    from kd_hpc.inspection.why import chain
    from kd_hpc.queueing.show import print_json
    from kd_hpc.store import Store

    store = Store(experiments)
    links = chain(store, find_run(store, run), campaign)
    if as_json:
        print_json(links_json(links))
        return
    width = max(len(link.kind) for link in links)
    for link in links:
        print(f"{link.kind.ljust(width)}  {link.says}")
