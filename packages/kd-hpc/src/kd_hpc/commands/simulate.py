"""kd-hpc simulate: rehearse a campaign."""

from __future__ import annotations

from typing import Annotated

import typer

from kd_hpc.commands.options import CampaignArgument, JsonOption, SetOption


def simulate(
    campaign: CampaignArgument,
    seed: Annotated[int, typer.Option(help="Which world: the same seed, the same events.")] = 0,
    worlds: Annotated[int, typer.Option(min=1, help="How many, with seeds from --seed upwards.")] = 1,
    faults: Annotated[str, typer.Option(help="none or rough.")] = "rough",
    epoch_seconds: Annotated[float, typer.Option(min=0.1, help="How long an epoch takes.")] = 20.0,
    running: Annotated[int, typer.Option(min=1, help="Jobs the cluster runs at once.")] = 4,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play the whole campaign on a simulated, faulty cluster.

    Kills, lost answers, hung status calls, purges, bad nodes. The planner and the runner are the real ones; nothing
    is submitted and nothing is written. Exit status 1 if a promise was broken: a run with two writers, a student
    before its teacher, too many jobs, a run without an end.

    Once, roughly handled: kd-hpc simulate campaigns/charlie.toml

    Many small worlds: kd-hpc simulate campaigns/digits.toml --worlds 50
    """
    from kd_hpc.campaign import load_campaign
    from kd_hpc.errors import UsageError
    from kd_hpc.screen.terminal import print_json, print_table
    from kd_hpc.simulation.rehearsal import FAULTS, rehearse

    loaded = load_campaign(campaign, settings or ())
    if faults not in FAULTS:
        raise UsageError(f"--faults {faults} is not known.", remedy=f"Known: {', '.join(FAULTS)}.")
    done = [
        rehearse(loaded, world, FAULTS[faults], epoch_seconds=epoch_seconds, running=running)
        for world in range(seed, seed + worlds)
    ]
    if as_json:
        print_json({"worlds": [rehearsal.as_json() for rehearsal in done]})
    else:
        rows = [
            (str(r.seed), f"{r.hours / 24:.1f}", str(r.ticks), str(r.jobs), str(r.starts), _runs(r.actions), r.broken)
            for r in done
        ]
        print_table(("world", "days", "ticks", "jobs", "starts", "runs", "broken promise"), rows)
    raise typer.Exit(1 if any(rehearsal.broken for rehearsal in done) else 0)


def _runs(actions: dict[str, int]) -> str:
    return ", ".join(f"{count} {action}" for action, count in sorted(actions.items()))
