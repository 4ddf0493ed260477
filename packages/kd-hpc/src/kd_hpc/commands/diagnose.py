"""kd-hpc diagnose: why the last job of a run died."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.commands.options import CampaignOption, ExperimentsOption, JsonOption, RunArgument


def diagnose(
    run: RunArgument,
    experiments: ExperimentsOption = Path("experiments"),
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why the last job of a run died.

    Cause, evidence, and the command to type next. Reads the run's files, those of earlier rounds too, and asks the
    scheduler if a campaign was queued here.

    One run: kd-hpc diagnose Cifar10/pure/ResNet112/0

    By its job: kd-hpc diagnose 7002784.sched01

    What each cause means: docs/guide/when-something-died.md
    """
    from kd_hpc.inspection.postmortem import examine
    from kd_hpc.inspection.selection import find_run
    from kd_hpc.screen.terminal import print_json, print_prose
    from kd_hpc.store import Store

    store = Store(experiments)
    finding = examine(store, find_run(store, run, campaign), campaign)
    if as_json:
        print_json(finding.as_json())
        return
    for name, value in finding.lines(store.root):
        for place, line in enumerate(value.split("\n")):
            begin = f"{'' if place else name:<9}"
            print(begin + line) if name == "next" else print_prose(line, begin)
