"""`kd-analysis report`: one self-contained HTML page, Markdown, CSV tables and figures from a folder of runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    experiments: Annotated[Path | None, typer.Argument(help="Folder of runs, of any round.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the report to.")] = Path("report"),
    campaign: Annotated[Path | None, typer.Option("--campaign", help="Campaign file: its whole grid is shown.")] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Recompute the report in this folder and compare; write nothing.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes for geometry and figures.")] = 2,
    cache: Annotated[Path | None, typer.Option("--cache", help="Where computed numbers are kept.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Also write each figure as PDF, for LaTeX.")] = True,
) -> None:
    """Write the report of a folder of runs.

    report.html, report.md, report.json, tables/ and figures/.

    Example: kd-analysis report experiments -o report

    A whole grid: kd-analysis report experiments --campaign FILE

    Is it still true? kd-analysis report --verify report
    """
    from kd_hpc.errors import UsageError

    if verify is not None:
        _verify(verify, experiments, workers)
    elif experiments is None:
        raise UsageError("No folder of runs was named.", remedy="Type: kd-analysis report experiments -o report")
    else:
        _write(experiments, output, campaign, workers, cache, ("svg", "pdf") if pdf else ("svg",))


def _write(
    experiments: Path,
    output: Path,
    campaign: Path | None,
    workers: int,
    cache: Path | None,
    formats: tuple[str, ...],
) -> None:
    from kd_analysis.figures.gallery import Gallery
    from kd_analysis.processes import collect_seldom, processes
    from kd_analysis.representations.cache import Cache, default_root
    from kd_hpc.campaign import load_campaign
    from kd_hpc.screen.progress import bar

    plan = load_campaign(campaign) if campaign else None
    root = cache or default_root()
    with bar() as step, processes(workers) as drawing:
        gallery = Gallery(root, drawing, formats)
        if experiments.is_dir():
            gallery.stand_by()
        from kd_analysis.analysis import analyse  # these load for a second: meanwhile the workers do, too
        from kd_analysis.report.build import build_document
        from kd_analysis.report.sections.provenance import SIDECAR, sidecar
        from kd_analysis.report.write import publish_report, render, require_folder

        collect_seldom()
        found = analyse(experiments, plan, Cache(root / "geometry"), workers, step("geometry"))
        require_folder(output)
        document = build_document(found, lambda section: gallery.begin(section.figures))
        files = render(document, gallery, step("figures"))
        files[SIDECAR] = sidecar(found, document, files, output, campaign)
        publish_report(output, files)
    print(f"{found.tree.counted} of {found.tree.planned} runs counted.", file=sys.stderr)
    print(output / "report.html")


def _verify(folder: Path, experiments: Path | None, workers: int) -> None:
    from kd_analysis.report.verify import verify
    from kd_hpc.screen.progress import bar

    with bar() as step:
        found = verify(folder, experiments, workers, step("geometry"))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    for difference in found.differences:
        print(difference)
    if found.differences:
        print(f"{folder} is not what its runs say: {len(found.differences)} differences.", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{folder} is what its runs say.")
