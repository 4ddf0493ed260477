"""`kd-analysis report`: one self-contained HTML page, Markdown, CSV tables and figures from a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    experiments: Annotated[Path, typer.Argument(help="Folder of runs, of any round.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the report to.")] = Path("report"),
    campaign: Annotated[Path | None, typer.Option("--campaign", help="Campaign file: its whole grid is shown.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes for geometry.")] = 2,
    cache: Annotated[Path | None, typer.Option("--cache", help="Where computed numbers are kept.")] = None,
) -> None:
    """Write report.html, report.md, tables/ and figures/ for a folder of runs.

    Example: kd-analysis report experiments -o report --campaign campaigns/charlie.toml
    """
    from kd_analysis.analysis import analyse
    from kd_analysis.cache import Cache, default_root
    from kd_analysis.gallery import Gallery
    from kd_analysis.progress import bar
    from kd_analysis.report.build import build_document
    from kd_analysis.report.write import publish_report, render, require_folder
    from kd_hpc.campaign import load_campaign

    plan = load_campaign(campaign) if campaign else None
    root = cache or default_root()
    with bar() as step:
        found = analyse(experiments, plan, Cache(root / "geometry"), workers, step("geometry"))
        require_folder(output)
        files = render(build_document(found), Gallery(root, workers), step("figures"))
        publish_report(output, files)
    print(output / "report.html")
