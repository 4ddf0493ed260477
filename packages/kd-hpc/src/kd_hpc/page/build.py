"""The whole page: from a campaign's records to one HTML file."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from kd_hpc.disk.files import publish_text
from kd_hpc.errors import FolderError, StoreError
from kd_hpc.inspection.overview import Overview
from kd_hpc.page import sections
from kd_hpc.page.markup import Markup, tag
from kd_hpc.store import METRICS
from kd_hpc.triage.run_directory import read_curves

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Nothing is ever fetched."""


def write_page(seen: Overview, path: Path) -> None:
    """Publish the page at `path`. Raises FolderError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        publish_text(path, render(seen))
    except (OSError, StoreError) as error:
        raise FolderError(f"{path} cannot be written: {error}.", remedy="Name another file with -o.") from error


def render(seen: Overview) -> str:
    """The page as text; of the runs' files, only the curves of those at work are read."""
    main = tag(
        "main",
        sections.head(seen),
        sections.needs(seen),
        sections.outlook(seen),
        sections.grid(seen),
        sections.at_work(seen, _curves(seen)),
        sections.all_runs(seen),
        tag(
            "footer",
            f"kd-hpc {version('kd-hpc')}, from the records in {seen.root}. Read only; made anew by kd-hpc page.",
        ),
    )
    return "<!doctype html>\n" + tag(
        "html", _head(seen), tag("body", main, tag("script", _asset("page.js"))), lang="en"
    )


def _head(seen: Overview) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"{seen.title}: how it stands"),
        tag("style", _asset("page.css")),
    )


def _asset(name: str) -> Markup:
    return Markup((files("kd_hpc.page") / name).read_text(encoding="utf-8"))


def _curves(seen: Overview) -> dict[str, tuple[float, ...]]:
    rows = [row for job in seen.at_work for row in job.rows]
    return {row.label: read_curves(seen.root / row.label / METRICS)[0].test_acc for row in rows}
