"""The command line of kd-hpc: registers one small module a command."""

from __future__ import annotations

from typing import NoReturn

from kd_hpc.commands import (
    archive,
    bundle,
    cancel,
    check,
    diagnose,
    doctor,
    forecast,
    init,
    notify,
    page,
    queue,
    retry,
    simulate,
    status,
    why,
)
from kd_hpc.entry import command_line, offer_completion, run

app = command_line(
    "kd-hpc",
    "Bring a campaign of training runs onto this machine or a cluster: each run exactly once, none lost, all "
    "explained.",
    "Example: kd-hpc queue campaigns/digits.toml --watch\n\nGuides: docs/guide, such as when-something-died.md",
)
app.command("init")(init.init)
app.command("queue")(queue.queue)
app.command("status")(status.status)
app.command("page")(page.page)
app.command("why")(why.why)
app.command("check")(check.check)
app.command("retry")(retry.retry)
app.command("cancel")(cancel.cancel)
app.command("forecast")(forecast.forecast)
app.command("simulate")(simulate.simulate)
app.command("diagnose")(diagnose.diagnose)
app.command("doctor")(doctor.doctor)
app.command("notify")(notify.notify)
app.command("archive")(archive.archive)
app.command("bundle")(bundle.bundle)
offer_completion(app)


def main() -> NoReturn:
    """Run the command line."""
    run("kd-hpc", app)
