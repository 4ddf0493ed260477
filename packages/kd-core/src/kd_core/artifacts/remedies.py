"""What to type where a run's weights are missing or damaged."""

from __future__ import annotations

import shlex
from pathlib import Path

from kd_hpc.command import train_arguments
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import State, StatusRecord
from kd_hpc.remedies import with_folder
from kd_hpc.store import Store


def train_it(store: Store, run: Experiment) -> str:
    """How `run` gets its weights: a completed one is trained again only once its directory is moved aside."""
    record = store.read(run)
    if isinstance(record, StatusRecord) and record.state == State.COMPLETED:
        return f"Put that file back from a copy, or train the run again: {begin_anew(store, run)}"
    return f"Train it first: {_command(store, run)}"


def begin_anew(store: Store, run: Experiment) -> str:
    """How a run that has ended is trained once more."""
    return f"{with_folder(f'kd-hpc retry --anew {run.label}', store.root)}, then {_command(store, run)}"


def _command(store: Store, run: Experiment) -> str:
    """As a person types it, with the recipe that is on record."""
    record = store.read(run)
    recipe = Recipe.recorded(record.recipe) if isinstance(record, StatusRecord) and record.recipe else Recipe()
    words = train_arguments(run, recipe, store.root, Path("data"))
    for option in ("--data", "--device"):  # whatever this process was told
        place = words.index(option)
        del words[place : place + 2]
    return shlex.join(["kd-core", *words])
