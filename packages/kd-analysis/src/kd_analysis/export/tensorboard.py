"""One event file a run, in a folder like the run's own: what TensorBoard shows as one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kd_analysis.export.curves import epochs_of
from kd_analysis.export.event_file import event_file
from kd_hpc.disk.files import publish_bytes
from kd_hpc.errors import UsageError
from kd_hpc.store import METRICS
from kd_hpc.triage.run_directory import Run, read_tree

NAME = "events.out.tfevents.0.kd"


def export_tensorboard(root: Path, output: Path) -> list[str]:
    """Write the event files of all runs below `root` that have curves; returns their paths, as of runs.

    Raises UsageError where `root` is no folder or `output` cannot be written, StoreError where the disk refuses.
    """
    exported = []
    for run in read_tree(root)[0]:
        epochs = list(epochs_of(run))
        if not epochs:
            continue
        folder = output / run.path
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder} cannot be made: {error.strerror}.", remedy="Name another with -o.") from error
        publish_bytes(folder / NAME, event_file(_timed(run, epochs), _began(run, epochs)))
        exported.append(run.path)
    return exported


def _timed(
    run: Run, epochs: Sequence[tuple[int, dict[str, float]]]
) -> Iterator[tuple[float, int, Mapping[str, float]]]:
    """Epochs with the time at which each ended: counted back from the last by the seconds they took."""
    now = _began(run, epochs)
    for epoch, values in epochs:
        now += values.get("seconds", 0.0)
        yield now, epoch, values


def _began(run: Run, epochs: Sequence[tuple[int, dict[str, float]]]) -> float:
    """When the first epoch began, had there never been a break."""
    return _ended(run) - sum(values.get("seconds", 0.0) for _, values in epochs)


def _ended(run: Run) -> float:
    """When the record was written last; without one, the curves."""
    if run.record and run.record.updated_at:
        return run.record.updated_at.timestamp()
    try:
        return (run.directory / METRICS).stat().st_mtime
    except OSError:
        return 0.0
