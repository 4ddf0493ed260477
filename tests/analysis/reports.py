"""Reports for tests: whole ones on disk, and documents, which cost no figure."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

from kd_analysis.analysis import analyse
from kd_analysis.commands.report import report
from kd_analysis.report.build import build_document
from kd_analysis.report.document import Document, TableValue
from kd_analysis.representations.cache import Cache
from kd_hpc.campaign import Campaign
from tests import warm

Row = dict[str, TableValue]


def kd_analysis(*words: object) -> subprocess.CompletedProcess[str]:
    """The program as a user starts it."""
    program = warm.to_start["kd-analysis"]
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=1000)


def write(experiments: Path, output: Path, cache: Path, campaign: Path | None = None) -> Path:
    """The whole report, in this process."""
    report(experiments, output, campaign, None, 1, cache, True)
    return output


def document_of(experiments: Path, cache: Path | None = None, campaign: Campaign | None = None) -> Document:
    """What the report would say."""
    return build_document(analyse(experiments, campaign, Cache(cache / "geometry" if cache else None), 1))


def rows_of(document: Document, name: str) -> list[Row]:
    """A table's rows by the names of its columns."""
    (table,) = (table for table in document.tables if table.name == name)
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.rows]


def csv_rows(report: Path, name: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
