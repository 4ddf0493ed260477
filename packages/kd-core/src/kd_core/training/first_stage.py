"""What a method trains on its teacher alone, before the student begins: once a teacher, kept for all its students.

It is kept in the teacher's run directory under the teacher's own hash and its recipe, so a retrained teacher never
meets an old result, nor does a run of another recipe. Two students that start together may both train it: they get the
same bytes, and the last one published stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_core.artifacts.checkpoint import load_checkpoint, previous, save_checkpoint
from kd_core.artifacts.weights import save_weights
from kd_core.data.loaders import Loader
from kd_core.networks.base import Outputs
from kd_core.runtime.determinism import seed_of
from kd_core.runtime.device import place
from kd_core.teacher.load import Teacher
from kd_core.training.student import cosine
from kd_core.training.update import Updater
from kd_hpc.recipe import Recipe
from kd_hpc.store import CHECKPOINT

_OF_STUDENTS = {
    "epochs", "label_smoothing", "temperature", "weights", "representation_epochs", "watchdog_skips", "loader",
    "paraphraser_epochs",
}  # fmt: skip
"""Recipe fields that change nothing in a first stage, or stand in its file's name."""

OnEpoch = Callable[[str, int, float], None]
"""Called after each epoch of a stage: its name, finished epochs, mean loss."""


@dataclass(frozen=True)
class TeachersStage:
    """The first stage of one run: trains what no student of this teacher has trained before, and keeps it for all."""

    teacher: Teacher
    recipe: Recipe
    loader: Loader
    device: torch.device
    seed: int
    own: Path
    """The run's directory."""
    shared: Path
    """The teacher's."""
    on_epoch: OnEpoch

    def __call__(
        self, name: str, make: Callable[[], nn.Module], loss: Callable[[Any, Outputs], Tensor]
    ) -> Mapping[str, Any]:
        own, checkpoint = self.own / f"{name}.pth", self.own / f"{name}.checkpoint.pth"
        parts = (name, self.teacher.sha256[:12], str(self.recipe.paraphraser_epochs), self.recipe_key)
        shared = self.shared / f"{'-'.join(filter(None, parts))}.pth"
        weights = _saved(own if (self.own / CHECKPOINT).exists() else shared, self.device)
        if weights is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_of(name, self.seed))
                module = make()
            weights = _Training(self, name, place(module, self.device), loss, checkpoint).finish()
            save_weights(shared, weights)
        save_weights(own, weights)
        for path in (checkpoint, previous(checkpoint)):
            path.unlink(missing_ok=True)
        return weights

    @property
    def recipe_key(self) -> str | None:
        """Tells apart recipes that train a stage differently; None for the default one."""
        changed = self.recipe.model_dump_json(exclude=_OF_STUDENTS, exclude_defaults=True)
        return None if changed == "{}" else hashlib.sha256(changed.encode()).hexdigest()[:8]


class _Training:
    """Trains one module epoch by epoch, resumable to the bit through its checkpoint."""

    def __init__(
        self, stage: TeachersStage, name: str, module: nn.Module, loss: Callable[[Any, Outputs], Tensor], path: Path
    ) -> None:
        self.stage, self.name, self.module, self.loss, self.checkpoint = stage, name, module, loss, path
        self.updater = Updater(module.parameters(), stage.recipe, stage.device, torch.float32)
        self.epoch = 0
        self.losses: list[float] = []

    def finish(self) -> dict[str, Tensor]:
        """Train to the end and return the weights."""
        self._resume()
        self.module.train()
        recipe = self.stage.recipe
        while self.epoch < recipe.paraphraser_epochs:
            self.updater.optimizer.lr = cosine(recipe.lr, self.epoch, recipe.paraphraser_epochs)
            self.losses.append(self._train_epoch())
            self.epoch += 1
            save_checkpoint(self.checkpoint, self._identity, self._state())
            self.stage.on_epoch(self.name, self.epoch, self.losses[-1])
        return dict(self.module.state_dict())

    def _train_epoch(self) -> float:
        total, count = torch.zeros((), device=self.stage.device), 0
        for images, labels in self.stage.loader.train(self.epoch, stage=self.name):
            loss = self.loss(self.module, self.stage.teacher.network(images))
            self.updater.apply(loss)
            self.updater.require_health(lambda: [self.name])
            total, count = total + loss.detach() * len(labels), count + len(labels)
        return float(total) / count

    @property
    def _identity(self) -> dict[str, Any]:
        stage, epochs = self.stage, self.stage.recipe.paraphraser_epochs
        teacher = stage.teacher.sha256
        return {"stage": self.name, "teacher_sha256": teacher, "epochs": epochs, "recipe": stage.recipe_key}

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "model": self.module.state_dict(),
            "updater": self.updater.state_dict(),
            "losses": self.losses,
        }

    def _resume(self) -> None:
        state, _ = load_checkpoint(self.checkpoint, self._identity, self.stage.device)
        if state is not None:
            self.module.load_state_dict(state["model"])
            self.updater.load_state_dict(state["updater"])
            self.epoch, self.losses = state["epoch"], state["losses"]


def _saved(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The weights at `path`, or None where there are none that can be read."""
    try:
        weights: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)["weights"]
    except Exception:  # whatever is wrong with it, training it again is right
        return None
    return weights
