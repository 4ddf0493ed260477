"""kd-hpc notify: does the campaign's notification arrive?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kd_hpc.commands.options import CampaignArgument, ExperimentsOption


def notify(
    campaign: CampaignArgument,
    experiments: ExperimentsOption = Path("experiments"),
    unable: Annotated[
        str, typer.Option(help="Say that a round could not do its work, and why: told once it has lasted a day.")
    ] = "",
    able: Annotated[bool, typer.Option("--able", help="Say that a round did its work, which ends that.")] = False,
) -> None:
    """Send a test message, as rounds will send news.

    Through the command under [notify] of the campaign file.

    Does it arrive? kd-hpc notify campaigns/digits.toml

    What it gets, and examples for mail and ntfy: docs/guide/notifications.md
    """
    from kd_hpc.campaign import load_campaign
    from kd_hpc.errors import CampaignError, NotificationFailed, UsageError
    from kd_hpc.notification.notifier import Notifier
    from kd_hpc.queueing.runner import CONTROL

    if unable and able:
        raise UsageError("A round was either --able or --unable.", remedy="Leave one of them away.")
    loaded = load_campaign(campaign)
    notifier = Notifier(loaded, experiments, experiments / CONTROL)
    if unable or able:
        notifier.after_failure(unable) if unable else notifier.after_success()
        return
    answer = notifier.test()
    if answer is None:
        raise CampaignError(
            f"{campaign} names no command to notify you.", remedy='Write [notify] and command = ["..."].'
        )
    if answer.failure or answer.exit_status:
        raise NotificationFailed(f"The test was not sent: {answer.words}", remedy=f"Mend command in {campaign}.")
    print("The command ran and was content. Did it arrive?", file=sys.stderr)
