"""Stage 1 of factor transfer: train a teacher's paraphraser once, and keep it for every student of that teacher.

It is kept in the teacher's run directory under the teacher's own hash, so a retrained teacher never meets an old
paraphraser. Two students that start together may both train it: they get the same bytes, and the last one published
stands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd_core.artifacts.checkpoint import load_checkpoint, previous, save_checkpoint
from kd_core.data.loaders import Loader
from kd_core.methods.factor_transfer import Paraphraser, reconstruction_loss
from kd_core.runtime.determinism import seed_of
from kd_core.runtime.device import place
from kd_core.teacher.load import Teacher
from kd_core.training.student import cosine
from kd_core.training.update import Updater
from kd_hpc.campaign import Recipe

STAGE = "paraphraser"
STAGE_CHECKPOINT = "paraphraser.checkpoint.pth"


def shared_path(teacher_directory: Path, teacher: Teacher, recipe: Recipe) -> Path:
    """Where the paraphraser of this very teacher, trained for this long, is kept."""
    return teacher_directory / f"paraphraser-{teacher.sha256[:12]}-{recipe.paraphraser_epochs}.pth"


def saved_paraphraser(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The weights at `path`, or None where there are none that can be read."""
    try:
        weights: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)["weights"]
    except Exception:  # whatever is wrong with it, training it again is right
        return None
    return weights


class ParaphraserStage:
    """Trains one paraphraser epoch by epoch, resumable to the bit through a checkpoint in `directory`."""

    def __init__(
        self, teacher: Teacher, recipe: Recipe, loader: Loader, directory: Path, device: torch.device, seed: int
    ) -> None:
        self.teacher, self.recipe, self.loader, self.device = teacher, recipe, loader, device
        self.checkpoint = directory / STAGE_CHECKPOINT
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(STAGE, seed))
            self.model = place(Paraphraser(teacher.network.widths.layer3), device)
        self.updater = Updater(self.model.parameters(), recipe, device, torch.float32)
        self.epoch = 0
        self.losses: list[float] = []

    def train(self, on_epoch: Callable[[int, float], None]) -> dict[str, Tensor]:
        """Train to the end and return the weights. `on_epoch(finished epochs, mean loss)` is called after each."""
        self._resume()
        self.model.train()
        while self.epoch < self.recipe.paraphraser_epochs:
            self.updater.optimizer.lr = cosine(self.recipe.lr, self.epoch, self.recipe.paraphraser_epochs)
            self.losses.append(self._train_epoch())
            self.epoch += 1
            save_checkpoint(self.checkpoint, self._identity, self._state())
            on_epoch(self.epoch, self.losses[-1])
        return dict(self.model.state_dict())

    def _train_epoch(self) -> float:
        total, count = torch.zeros((), device=self.device), 0
        for images, labels in self.loader.train(self.epoch, stage=STAGE):
            feature = self.teacher.network(images).layer3.float()
            _, reconstruction = self.model(feature)
            loss = reconstruction_loss(reconstruction, feature)
            self.updater.apply(loss)
            self.updater.require_health(lambda: [STAGE])
            total, count = total + loss.detach() * len(labels), count + len(labels)
        return float(total) / count

    @property
    def _identity(self) -> dict[str, Any]:
        return {"stage": STAGE, "teacher_sha256": self.teacher.sha256, "epochs": self.recipe.paraphraser_epochs}

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "updater": self.updater.state_dict(),
            "losses": self.losses,
        }

    def _resume(self) -> None:
        state, _ = load_checkpoint(self.checkpoint, self._identity, self.device)
        if state is not None:
            self.model.load_state_dict(state["model"])
            self.updater.load_state_dict(state["updater"])
            self.epoch, self.losses = state["epoch"], state["losses"]


def remove_stage_checkpoints(directory: Path) -> None:
    """Once the stage's result is kept, its checkpoints are of no use."""
    checkpoint = directory / STAGE_CHECKPOINT
    for path in (checkpoint, previous(checkpoint)):
        path.unlink(missing_ok=True)
