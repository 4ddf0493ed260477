"""kd-hpc doctor: is everything ready?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import CampaignArgument, ExperimentsOption, JsonOption


def doctor(
    campaign: CampaignArgument,
    experiments: ExperimentsOption = Path("experiments"),
    submit_test: Annotated[
        bool, typer.Option("--submit-test", help="Also submit a held job that does nothing, and delete it again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that everything is ready for a campaign.

    Scheduler, queue, project, modules, environment, data, disk and locks, each with what to type. Changes nothing.
    Exit status 1 if something is wrong; warnings alone are 0.

    Before the first queue: kd-hpc doctor campaigns/charlie.toml

    With the real thing: kd-hpc doctor campaigns/charlie.toml --submit-test
    """
    from dataclasses import asdict

    from kd_hpc.doctor.examination import all_checks, is_wrong, show_checks
    from kd_hpc.doctor.scheduler_checks import submission
    from kd_hpc.queueing.session import open_session
    from kd_hpc.schedulers.readiness import Place
    from kd_hpc.screen.terminal import print_json

    session = open_session(campaign, experiments)
    place = Place(session.campaign, campaign, experiments)
    checks = all_checks(place)
    if submit_test:
        checks.append(submission(place, session.scheduler))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    show_checks(checks, table=not as_json)
    raise typer.Exit(1 if any(map(is_wrong, checks)) else 0)
