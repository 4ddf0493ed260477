"""From published files to run folders: all of them, or none where two would be one run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kd_analysis.importing import results_json, worklog
from kd_analysis.importing.result import NotUnderstood, Result
from kd_hpc.disk.files import publish_bytes, publish_text
from kd_hpc.errors import UsageError
from kd_hpc.records import CONFIG_KEYS, State, StatusRecord, to_bytes
from kd_hpc.store import METRICS, STATUS, read_record

Reader = Callable[[Path, str | None], Result]
READERS: Mapping[str, Reader] = {
    results_json.NAME: results_json.read_results_json,
    worklog.NAME: worklog.read_worklog,
}
"""Formats by the name of their file."""
EARLIER = 1
"""The version of records that need not know kd's own names of everything."""


@dataclass(frozen=True)
class Imported:
    """`runs` by the folder each came to; `numbered` cells have no seeds of their own; `problems` were not read."""

    runs: Mapping[PurePosixPath, Result]
    numbered: tuple[PurePosixPath, ...]
    problems: tuple[str, ...]


def import_runs(source: Path, output: Path, dataset: str | None) -> Imported:
    """Read every known file below `source` (or that file) into run folders under `output`.

    Raises UsageError where there is none, where two files are the same run, or where a folder is taken by another.
    """
    found, problems = _read_all(source, dataset)
    if not found:
        raise UsageError(
            f"Nothing below {source} could be read as results.",
            remedy=problems[0] if problems else f"Known are files called {' and '.join(READERS)}.",
        )
    runs, numbered = _placed(found)
    for place in runs:
        _require_free(output / place, runs[place])
    for place, result in runs.items():
        _write(output / place, result)
    return Imported(runs, tuple(numbered), tuple(problems))


def _read_all(source: Path, dataset: str | None) -> tuple[list[Result], list[str]]:
    found, problems = [], []
    for path in _files(source):
        try:
            found.append(READERS[path.name](path, dataset))
        except NotUnderstood as error:
            problems.append(" ".join(filter(None, (str(error), error.remedy))))
    return found, problems


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield from [source] if source.name in READERS else []
        return
    for name in READERS:
        yield from sorted(source.rglob(name))


def _placed(found: Sequence[Result]) -> tuple[dict[PurePosixPath, Result], list[PurePosixPath]]:
    """Each result's folder; those without seeds are numbered in the order of their files."""
    cells: dict[PurePosixPath, list[Result]] = defaultdict(list)
    for result in found:
        cells[result.cell].append(result)
    runs: dict[PurePosixPath, Result] = {}
    numbered = []
    for cell, results in cells.items():
        if any(result.seed is None for result in results):
            numbered.append(cell)
            results = [replace(result, seed=number) for number, result in enumerate(results)]
        for result in results:
            place = cell / str(result.seed)
            if place in runs:
                raise UsageError(_both(place, runs[place], result), remedy="Import a folder that holds one of them.")
            runs[place] = result
    return runs, numbered


def _both(place: PurePosixPath, first: Result, second: Result) -> str:
    names = [name for name in first.settings if first.settings[name] != second.settings.get(name)]
    differ = f" They differ in {', '.join(names)}." if names else ""
    return f"{first.source} and {second.source} would both be {place}.{differ}"


def _require_free(directory: Path, result: Result) -> None:
    """A folder of an earlier import of the same file may be written again."""
    found = read_record(directory)
    if found is None:
        return
    origin = found.provenance.get("imported") if isinstance(found, StatusRecord) else None
    if origin != {"file": str(result.source)}:
        raise UsageError(f"{directory} is taken by another run.", remedy="Name another folder with -o.")


def _write(directory: Path, result: Result) -> None:
    identity = {
        "dataset": result.dataset,
        "method": "none" if result.teacher is None else result.method,
        "alpha": result.alpha,
        "teacher": result.teacher,
        "student": result.student,
        "seed": result.seed,
    }
    record = StatusRecord(
        schema_version=EARLIER,
        state=State.COMPLETED,
        epoch=result.epochs,
        epochs=result.epochs,
        acc_last=result.acc_last,
        acc_best=result.acc_best,
        config={CONFIG_KEYS[name]: value for name, value in identity.items()},
        provenance={"imported": {"file": str(result.source)}, "settings": dict(result.settings)},
    )
    directory.mkdir(parents=True, exist_ok=True)
    if result.curves:
        publish_text(directory / METRICS, json.dumps({name: list(values) for name, values in result.curves.items()}))
    publish_bytes(directory / STATUS, to_bytes(record))
