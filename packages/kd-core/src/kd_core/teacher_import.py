"""A teacher that was trained elsewhere: its weights become a completed pure run whose record says where from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch

from kd_core.artifacts.foreign import Foreign, read_foreign
from kd_core.artifacts.provenance import provenance
from kd_core.artifacts.representations import REPRESENTATIONS_BEST, extract, save_representations
from kd_core.artifacts.weights import save_weights
from kd_core.data.images import Dataset, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.runtime.device import place
from kd_core.training.curves import Curves
from kd_core.training.evaluate import Score, evaluate
from kd_hpc.claim import JobIdentity, claimed, inspect
from kd_hpc.errors import UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.records import State
from kd_hpc.store import BEST, LAST, REPRESENTATIONS, Store


def import_teacher(store: Store, experiment: Experiment, file: Path, data: Path, device: torch.device) -> Score:
    """Make the weights in `file` the pure run `experiment`, scored on the test images in float32.

    Raises UsageError, with nothing written, for a file that does not fit, weights that only guess, or a run that there
    is already.
    """
    job = JobIdentity()
    record = inspect(store, experiment, job)
    if record.progress or record.is_done:
        raise UsageError(
            f"{experiment.label} is there already: {record.state}, {record.epoch} epochs.",
            remedy="Name another --seed or --experiments, or move that run away.",
        )
    dataset = load_dataset(data, experiment.dataset)
    foreign = read_foreign(file, experiment.student, dataset.facts.classes)
    model = place(foreign.network, device)
    loader = make_loader("device", dataset, seed=experiment.seed, batch_size=128, augment="none", device=device)
    score = evaluate(model, loader.test(), torch.float32)
    if score.accuracy < dataset.facts.chance_accuracy:
        raise UsageError(
            f"{file} gets {score.accuracy:.2f} % of {experiment.dataset}'s test images right, no more than guessing.",
            remedy="It was trained on other data, or its classes have another order.",
        )
    store.require_writable()
    _publish(store, experiment, foreign, file, dataset, loader, score, device)
    return score


def _publish(
    store: Store,
    experiment: Experiment,
    foreign: Foreign,
    file: Path,
    dataset: Dataset,
    loader: Loader,
    score: Score,
    device: torch.device,
) -> None:
    facts = provenance(device, torch.float32, dataset)
    facts["imported"] = {"file": file.name, "sha256": foreign.sha256}
    with claimed(store, experiment, JobIdentity()) as claim:
        run = claim.run
        if run is None:
            raise UsageError(f"{experiment.label} is there by now.", remedy="Look at it: kd-hpc status")
        for name in (BEST, LAST):
            save_weights(run.fence, run.directory / name, foreign.network.state_dict())
        for name in (REPRESENTATIONS, REPRESENTATIONS_BEST):
            save_representations(run.fence, run.directory / name, extract(foreign.network, loader.test()))
        Curves().publish(run.fence)
        changes = {
            "state": State.COMPLETED,
            "acc_last": score.accuracy,
            "acc_best": score.accuracy,
            "provenance": facts,
            "files": dict(run.fence.digests),
        }
        run.write(claim.record.model_copy(update=changes).with_attempt(ended_at=datetime.now(UTC)))
