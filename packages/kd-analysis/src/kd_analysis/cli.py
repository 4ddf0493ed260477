"""The command line of kd-analysis: registers one small module a command."""

from __future__ import annotations

from typing import NoReturn

from kd_analysis.commands import export, import_runs, methodology, plots, report, triage, weekly
from kd_hpc.entry import command_line, offer_completion, run

app = command_line(
    "kd-analysis",
    "Read finished distillation runs on a laptop: triage, statistics, geometry, figures, one report.",
    "Example: kd-analysis report experiments -o report\n\nGuide: docs/guide/first-day-on-the-laptop.md",
)
app.command("report")(report.report)
app.command("triage")(triage.triage)
app.command("plots")(plots.plots)
app.command("methodology")(methodology.methodology)
app.command("weekly")(weekly.weekly)
app.add_typer(export.app, name="export")
app.command("import")(import_runs.import_runs)
offer_completion(app)


def main() -> NoReturn:
    """Run the command line."""
    run("kd-analysis", app)
