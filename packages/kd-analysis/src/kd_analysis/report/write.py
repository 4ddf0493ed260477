"""Publishing a document: figures, tables, Markdown, HTML, each file whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from kd_analysis.figures.gallery import Gallery
from kd_analysis.reading.runs_schema import runs_schema
from kd_analysis.report.document import Document, Table
from kd_analysis.report.html import render_html
from kd_analysis.report.latex import MOST_ROWS, to_latex
from kd_analysis.report.markdown import render_markdown
from kd_analysis.report.references import bibtex
from kd_analysis.report.sections.provenance import SIDECAR
from kd_hpc.disk.files import publish_bytes
from kd_hpc.disk.sealed import known_object
from kd_hpc.errors import UsageError
from kd_hpc.screen.escapes import csv_cell

Progress = Callable[[int, int], None]


def require_folder(output: Path) -> None:
    """Make the report's folders. Raises UsageError where that cannot be."""
    try:
        for folder in (output, output / "figures", output / "tables"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The report cannot be written to {output}: {error.strerror}.", remedy="Name another folder with -o."
        ) from error


def render(document: Document, gallery: Gallery, progress: Progress = lambda done, of: None) -> dict[str, bytes]:
    """Every file of the report by its path, the same bytes for the same document."""
    files = _without_drawings(document)
    drawn = gallery.draw_all(list(document.figures), progress)
    for name, drawing in drawn.items():
        files |= {f"figures/{name}.{suffix}": content for suffix, content in drawing.items()}
    files["report.html"] = render_html(document, {name: drawing["svg"] for name, drawing in drawn.items()}).encode()
    return files


def _without_drawings(document: Document) -> dict[str, bytes]:
    """The files that need not wait for drawings: tables, the figures' data, Markdown, references."""
    files = {f"figures/{figure.name}.csv": to_csv(figure.data) for figure in document.figures}
    for table in document.tables:
        files[f"tables/{table.name}.csv"] = to_csv(table)
        if not table.csv_only and len(table.rows) <= MOST_ROWS:
            files[f"tables/{table.name}.tex"] = to_latex(table).encode()
    files["tables/runs.schema.json"] = (json.dumps(runs_schema(), indent=1) + "\n").encode()
    files["references.bib"] = bibtex().encode()
    files["report.md"] = render_markdown(document).encode()
    return files


def to_csv(table: Table) -> bytes:
    """Raw values, missing ones empty, as the writer has them anyway."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(csv_cell(column.name) for column in table.columns)
    writer.writerows([csv_cell(value) if type(value) is str else value for value in row] for row in table.rows)
    return stream.getvalue().encode()


def publish_report(output: Path, files: dict[str, bytes]) -> None:
    """Write every file, report.html last; what an earlier report left and this one does not have is removed."""
    earlier = recorded_files(output)
    for name, content in sorted(files.items(), key=lambda item: item[0] == "report.html"):
        publish_bytes(output / name, content)
    for name in earlier - files.keys():
        if name.startswith(("figures/", "tables/")) and ".." not in name:
            (output / name).unlink(missing_ok=True)


def recorded_files(output: Path) -> set[str]:
    """The files that the sidecar in `output` names; none if there is no readable one."""
    files = known_object(output / SIDECAR).get("files")
    return set(files) if isinstance(files, dict) else set()
