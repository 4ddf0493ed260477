"""Is a report still what its runs say? Its files are hashed, its tables recomputed without any cache, both compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kd_analysis.analysis import analyse
from kd_analysis.report.build import build_document
from kd_analysis.report.document import Document
from kd_analysis.report.sections.provenance import SIDECAR, software
from kd_analysis.representations.cache import Cache
from kd_hpc.campaign import load_campaign
from kd_hpc.disk.files import read_regular
from kd_hpc.disk.sealed import read_object
from kd_hpc.errors import Damaged, UsageError

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Verification:
    """Differences found; `notes` are remarks that are none."""

    differences: tuple[str, ...]
    notes: tuple[str, ...]


def verify(
    folder: Path, experiments: Path | None, workers: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Verification:
    """Recompute the report in `folder` from its runs, or from `experiments` if named. Raises UsageError if it is
    none."""
    recorded = _recorded(folder)
    root = experiments or folder / recorded["experiments"]
    campaign = load_campaign(folder / recorded["campaign"]) if recorded.get("campaign") else None
    found = analyse(root, campaign, Cache(None), workers, progress)
    differences = (
        *_changed_files(folder, recorded["files"]),
        *_changed_tables(recorded["tables"], build_document(found)),
    )
    return Verification(differences, tuple(_other_software(recorded.get("software", {}))))


def _recorded(folder: Path) -> dict[str, Any]:
    path = folder / SIDECAR
    try:
        content = read_object(path)
    except (OSError, Damaged) as error:
        raise UsageError(
            f"{path} cannot be read: {error}.", remedy="Name a folder that kd-analysis report has written."
        ) from None
    if not {"experiments", "files", "tables"} <= content.keys():
        raise UsageError(f"{path} is no report's record.", remedy="Write the report again.")
    return content


def _changed_files(folder: Path, recorded: Mapping[str, str]) -> Iterator[str]:
    for name, digest in recorded.items():
        try:
            content = read_regular(folder / name)
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}"
            continue
        if sha256(content).hexdigest() != digest:
            yield f"{name} is not the file that was written"


def _changed_tables(recorded: Mapping[str, Any], document: Document) -> Iterator[str]:
    now = {one.name: one for one in document.tables}
    for name in sorted(recorded.keys() | now.keys()):
        if name == "software":
            continue
        if name not in now or name not in recorded:
            yield f"table {name} is {'gone' if name not in now else 'new'}"
            continue
        rows = [list(row) for row in now[name].rows]
        yield from _changed_rows(name, recorded[name], rows, [column.name for column in now[name].columns])


def _changed_rows(name: str, recorded: Mapping[str, Any], rows: list[list[Any]], columns: list[str]) -> Iterator[str]:
    if recorded["columns"] != columns or len(recorded["rows"]) != len(rows):
        yield f"table {name} has another shape: {len(recorded['rows'])} rows then, {len(rows)} now"
        return
    for number, (then, now) in enumerate(zip(recorded["rows"], rows, strict=True), start=1):
        for column, a, b in zip(columns, then, now, strict=True):
            if not _same(a, b):
                yield f"table {name}, row {number}, {column}: {a!r} then, {b!r} now"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        both = isinstance(a, int | float) and isinstance(b, int | float)
        return both and (a == b or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE))
    return bool(a == b)


def _other_software(recorded: Mapping[str, str]) -> Iterator[str]:
    for name, version in software().items():
        if recorded.get(name) != version:
            yield f"{name} was {recorded.get(name)}, is {version}"
