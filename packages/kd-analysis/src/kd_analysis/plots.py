"""Curves of each run and the overviews, drawn again only where a run's files changed since the last time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kd_analysis.figures.gallery import Gallery
from kd_analysis.processes import processes
from kd_analysis.reading.runs_table import Tree, judge
from kd_hpc.disk.files import publish_bytes
from kd_hpc.disk.sealed import object_bytes, read_object
from kd_hpc.errors import Damaged, UsageError
from kd_hpc.screen.escapes import printable
from kd_hpc.store import ERRORS, LOGS, METRICS, STATUS
from kd_hpc.triage.find_runs import find_runs
from kd_hpc.triage.run_directory import Run, read_tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MEMORY = "drawn.json"
VERSION = "2"
WATCHED = (STATUS, METRICS, LOGS, ERRORS)
OVERVIEWS = ("progress_grid", "accuracy_overview")


@dataclass(frozen=True)
class Outcome:
    """What happened to one run, and why."""

    run: str
    drawn: bool
    reason: str


@dataclass(frozen=True)
class Plot:
    """A figure to draw, as the gallery takes it."""

    name: str
    draw: Callable[[], Drawing]


def update_plots(
    root: Path, output: Path, workers: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> list[Outcome]:
    """Bring `output` up to date with the runs under `root`; one outcome a run. Raises UsageError if it is no folder."""
    if not root.is_dir():
        raise UsageError(f"The experiments folder {root} is no folder.", remedy="Name the folder that holds the runs.")
    remembered = _remembered(output / MEMORY)
    prints = {printable(path): _fingerprint(root / path) for path in find_runs(root)[0]}
    if prints == {path: entry["print"] for path, entry in remembered.items()} and _all_there(output, remembered):
        return [Outcome(path, False, _unchanged(entry)) for path, entry in remembered.items()]
    return _redraw(root, output, prints, remembered, workers, progress)


def _redraw(
    root: Path,
    output: Path,
    prints: Mapping[str, str],
    remembered: Mapping[str, Mapping[str, str]],
    workers: int,
    progress: Callable[[int, int], None],
) -> list[Outcome]:
    runs, strays = read_tree(root)
    tree = judge(root, runs, strays)
    outcomes, plots, memory = [], [], {}
    for item in tree.runs:
        run, path = item.run, item.run.path
        reason = _why_not(run, item.evidence)
        known = remembered.get(path, {})
        unchanged = known.get("print") == prints[path] and (bool(reason) or _file(output, path).is_file())
        if not reason and not unchanged:
            plots.append(_plot(run, str(item.verdict)))
        outcomes.append(_outcome(path, reason, unchanged, path in remembered))
        memory[path] = {"print": prints[path], "reason": reason}
    _draw(output, [*plots, *_overviews(tree)], workers, progress)
    publish_bytes(output / MEMORY, object_bytes({"version": VERSION, "runs": memory}))
    return outcomes


def _outcome(path: str, reason: str, unchanged: bool, known: bool) -> Outcome:
    if reason:
        return Outcome(path, False, reason)
    if unchanged:
        return Outcome(path, False, _unchanged({}))
    return Outcome(path, True, "its files changed" if known else "new")


def _why_not(run: Run, evidence: str) -> str:
    """Why a run has nothing to draw; empty if it has."""
    if run.curves.test_acc or run.curves.train_loss:
        return ""
    return f"no epoch recorded: {evidence or 'neither metrics.json nor a log with epochs'}"


def _unchanged(entry: Mapping[str, str]) -> str:
    return (
        f"unchanged since it was last looked at: {entry['reason']}"
        if entry.get("reason")
        else "unchanged since it was drawn"
    )


def _draw(output: Path, plots: Iterable[Plot], workers: int, progress: Callable[[int, int], None]) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.", remedy="Name another with -o.") from error
    with processes(workers) as ready:
        drawn = Gallery(None, ready, ("svg",)).draw_all(list(plots), progress)
    for name, drawing in drawn.items():
        target = _file(output, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        publish_bytes(target, drawing["svg"])


def _plot(run: Run, verdict: str) -> Plot:
    from kd_analysis.figures.curves import run_figure

    return Plot(run.path, partial(run_figure, run.curves, run.first_epoch, f"{run.path} ({verdict})"))


def _overviews(tree: Tree) -> list[Plot]:
    from kd_analysis.figures.overview import accuracy_overview_figure, progress_figure
    from kd_analysis.figures.overview_data import accuracy_rows, progress_grid

    plots = [Plot(OVERVIEWS[0], partial(progress_figure, progress_grid(tree)))] if tree.runs else []
    rows = accuracy_rows(tree)
    return [*plots, Plot(OVERVIEWS[1], partial(accuracy_overview_figure, rows))] if rows else plots


def _file(output: Path, name: str) -> Path:
    return output / PurePosixPath(f"{name}.svg")


def _all_there(output: Path, remembered: Mapping[str, Mapping[str, str]]) -> bool:
    return all(entry["reason"] or _file(output, path).is_file() for path, entry in remembered.items())


def _fingerprint(directory: Path) -> str:
    """Changes whenever one of the run's files is replaced or grows."""
    marks = []
    for name in WATCHED:
        try:
            found = (directory / name).stat()
        except OSError:
            continue
        marks.append(f"{name}:{found.st_size}:{found.st_mtime_ns}")
    return " ".join(marks)


def _remembered(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = read_object(path)
        runs = content["runs"] if content["version"] == VERSION else {}
        return {name: {"print": str(entry["print"]), "reason": str(entry["reason"])} for name, entry in runs.items()}
    except (OSError, Damaged, KeyError, TypeError, AttributeError):
        return {}
