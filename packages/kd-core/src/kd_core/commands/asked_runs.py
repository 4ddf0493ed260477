"""Runs that somebody asked for: those that are done or another's are told, the others are trained."""

from __future__ import annotations

import sys
from pathlib import Path

from kd_hpc.claim import JobIdentity, inspect
from kd_hpc.errors import KdError, Superseded, UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.store import Store


def train_asked(store: Store, asked: list[Experiment], recipe: Recipe, data: Path, device: str) -> None:
    """Train them side by side. Raises the first failure; the others are told before."""
    job = JobIdentity.from_environment()
    store.require_writable()
    open_runs, failures = _open_runs(store, asked, recipe, job)
    if open_runs:
        from kd_core.run import Request, train_runs

        failures += train_runs(Request(store, open_runs, recipe, data, device, job))
    _raise(failures)


def _raise(failures: list[KdError]) -> None:
    """Tell why runs were not trained, and end with the first reason; who was superseded ends well."""
    told = sorted(failures, key=lambda failure: failure.exit_code == 0)
    for failure in told[1:]:
        print(f"kd-core: {failure}", file=sys.stderr)
    if told:
        raise told[0]


def _open_runs(
    store: Store, asked: list[Experiment], recipe: Recipe, job: JobIdentity
) -> tuple[list[Experiment], list[KdError]]:
    """The runs that are this process's to train, and why others are not; those that are done or not ours are told."""
    open_runs, failures = [], list[KdError]()
    for experiment in asked:
        try:
            record = inspect(store, experiment, job)
        except Superseded as superseded:
            print(f"kd-core: {experiment.label}: {superseded}", file=sys.stderr)
        except KdError as error:
            failures.append(error)
        else:
            own = recipe.varied(experiment.differs)
            if not record.is_done:
                open_runs.append(experiment)
            elif differs := own.differences(record.recipe, experiment.method):
                failures.append(_done_otherwise(store, experiment, record, differs))
            else:
                accuracy = "unknown" if record.acc_last is None else f"{record.acc_last:.2f}"
                print(f"{experiment.label} is {record.state}: {record.epoch} epochs, test accuracy {accuracy} %.")
    return open_runs, failures


def _done_otherwise(store: Store, experiment: Experiment, record: StatusRecord, differs: str) -> KdError:
    aside = with_folder(f"kd-hpc retry --anew {experiment.label}", store.root)
    return UsageError(
        f"{experiment.label} is {record.state}, with another recipe: {differs}.",
        remedy=f"It stays as it is. To have both, name another --experiments; to have this instead: {aside}, "
        "then this command again.",
    )
