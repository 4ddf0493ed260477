"""Looking again at a run that has weights: its network, and the test images it was trained beside."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import torch
from pydantic import ValidationError

from kd_core.artifacts.remedies import train_it
from kd_core.artifacts.weights import load_network, read_weights
from kd_core.data.images import load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.networks.base import Network
from kd_core.runtime.device import choose_device
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import CheckpointError, UsageError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.recipe import Recipe
from kd_hpc.records import StatusRecord
from kd_hpc.store import Store


def experiment_at(run: str) -> Experiment:
    """The run called `run`, its path below the experiments folder, of whatever data set. Raises UsageError."""
    fields = parse_path(PurePosixPath(run))
    if fields is None:
        raise UsageError(
            f"{run!r} is no run.", remedy="Give its path below the experiments folder, as kd-hpc status does."
        )
    return Experiment(**fields).require_known((fields["dataset"],))


def recorded_recipe(store: Store, experiment: Experiment) -> Recipe:
    """What the run was trained with. Raises UsageError where that is not on record."""
    record = store.read(experiment)
    fields = record.recipe if isinstance(record, StatusRecord) else {}
    known = {name: value for name, value in fields.items() if name in Recipe.model_fields}
    try:
        if known:
            return Recipe.model_validate(known)
    except ValidationError:
        pass
    raise UsageError(
        f"{experiment.label} has no recipe on record in {store.root}.", remedy="Train it with this version first."
    )


def load_weights(store: Store, experiment: Experiment, file: str, device: torch.device) -> Network:
    """The run's network, in eval mode, with its weights in `file`. Raises CheckpointError."""
    content, record = read_weights(store, experiment, file), store.read(experiment)
    facts = record.dataset_facts if isinstance(record, StatusRecord) else DATASETS.get(experiment.dataset)
    if facts is None:
        raise CheckpointError(
            f"The record of {experiment.label} does not say how many classes {experiment.dataset} has.",
            remedy=train_it(store, experiment),
        )
    path, again = store.directory(experiment) / file, train_it(store, experiment)
    return load_network(content, path, experiment, facts.classes, device, again).eval()


def test_loader(store: Store, experiment: Experiment, data: Path, device: str) -> Loader:
    """The loader whose test images the run was scored on: same data set, same augmentation."""
    record = store.read(experiment)
    recipe = Recipe.recorded(record.recipe) if isinstance(record, StatusRecord) and record.recipe else Recipe()
    return make_loader(
        "device",
        load_dataset(data, experiment.dataset),
        seed=experiment.seed,
        batch_size=recipe.batch_size,
        augment=recipe.augmentation,
        device=choose_device(device),
    )
