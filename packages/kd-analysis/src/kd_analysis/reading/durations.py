"""What a run took: time by the clock, and its share of the device's time where students trained side by side."""

from __future__ import annotations

import math

from kd_hpc.triage.run_directory import Run

SHARED = "Where k students share a job, an epoch's seconds are of all k together; a run is charged a k-th of them."


def wall_seconds(run: Run) -> float:
    """Training time in seconds: the epochs' own, or the log's total where one attempt trained them all; else NaN."""
    if _has_every_epoch(run):
        return float(sum(run.curves.seconds[_parents_epochs(run) :]))
    whole = run.epochs > 0 and len(run.log.epochs) == run.epochs and run.log.resumed_at is None
    return float(run.log.seconds) if whole and run.log.seconds else math.nan


def device_seconds(run: Run) -> float:
    """The run's share of its device in seconds: each epoch's, over the students it trained. NaN as `wall_seconds`.

    Over all runs of a job these add up to the time that the job trained; alone, this is the wall time.
    """
    if not _has_every_epoch(run):
        return wall_seconds(run)  # only earlier rounds printed a total, and they trained one student a job
    shares = [whole / k for whole, k in zip(run.curves.seconds, run.curves.side_by_side, strict=True)]
    return float(sum(shares[_parents_epochs(run) :]))


def students_a_job(run: Run) -> tuple[int, int] | None:
    """The fewest and the most students that any epoch of the run trained; None where its time is not on record."""
    if math.isnan(wall_seconds(run)):
        return None
    found = run.curves.side_by_side[_parents_epochs(run) :] or (1,)
    return min(found), max(found)


def show_students(students: tuple[int, int]) -> str:
    fewest, most = students
    return str(most) if fewest == most else f"{fewest}–{most}"


def _parents_epochs(run: Run) -> int:
    """Epochs in a fork's curves that its parent trained."""
    fork = run.identity.variant.fork
    return fork.epoch if fork else 0


def _has_every_epoch(run: Run) -> bool:
    return bool(run.curves.seconds) and len(run.curves.seconds) == run.epochs
