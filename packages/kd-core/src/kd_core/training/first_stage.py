"""What a method trains on its teacher alone, before the student begins: once a teacher, kept for all its students.

It is kept in the teacher's run directory under the teacher's own hash and its recipe, so a retrained teacher never
meets an old result, nor does a run of another recipe. Two students that start together may both train it: they get the
same bytes, and the last one published stands.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_core.artifacts.checkpoint import load_checkpoint, previous, save_checkpoint
from kd_core.artifacts.torchfile import read_torch
from kd_core.artifacts.weights import save_weights
from kd_core.data.loaders import Loader
from kd_core.networks.base import Outputs
from kd_core.runtime.determinism import seed_of
from kd_core.runtime.device import place
from kd_core.teacher.load import Teacher
from kd_core.training.schedule import cosine
from kd_core.training.update import Updater
from kd_hpc.errors import Damaged, StoreError
from kd_hpc.fence import Fence
from kd_hpc.recipe import Recipe
from kd_hpc.store import CHECKPOINT, SHARED

_OF_STUDENTS = {
    "epochs", "label_smoothing", "temperature", "weights", "representation_epochs", "checkpoint_epochs",
    "watchdog_skips", "loader", "paraphraser_epochs", "schedule", "milestones", "factor", "mix", "convex", "calibrated",
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
    fence: Fence
    """Of the run's own directory."""
    shared: Path | None
    """The teacher's; None for an untrained one, which has none: then every run trains its own."""
    on_epoch: OnEpoch

    def __call__(
        self, name: str, make: Callable[[], nn.Module], loss: Callable[[Any, Outputs], Tensor]
    ) -> Mapping[str, Any]:
        directory = self.fence.directory
        own, checkpoint = directory / f"{name}.pth", directory / f"{name}.checkpoint.pth"
        parts = (name, self.teacher.sha256[:12], str(self.recipe.paraphraser_epochs), self.recipe_key)
        shared = self.shared / f"{SHARED.join(filter(None, parts))}.pth" if self.shared else None
        kept = (own,) if shared is None else (own, shared) if (directory / CHECKPOINT).exists() else (shared,)
        weights = next((found for path in kept if (found := self._saved(name, path))), None)
        if weights is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_of(name, self.seed))
                module = make()
            weights = _Training(self, name, place(module, self.device), loss, checkpoint).finish()
            if shared:
                with suppress(StoreError):  # the teacher's other students can also train it themselves
                    self._save(name, shared, weights)
        self._save(name, own, weights)
        for path in (checkpoint, previous(checkpoint)):
            self.fence.remove(path)
        return weights

    def once(self, name: str, make: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Numbers that this teacher's students have in common: those kept under `name`, or else `make()`, kept then."""
        parts = (name, self.teacher.sha256[:12], self.recipe_key)
        shared = self.shared / f"{SHARED.join(filter(None, parts))}.pth" if self.shared else None
        if shared and (kept := self._saved(name, shared)):
            return {key: float(value) for key, value in kept.items()}
        numbers = dict(make())
        if shared:
            with suppress(StoreError):  # the teacher's other students can also make them themselves
                self._save(
                    name, shared, {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
                )
        return numbers

    def identity(self, name: str) -> dict[str, Any]:
        """What the weights depend on, but for data set and seed, which are the teacher's."""
        epochs = self.recipe.paraphraser_epochs
        return {"stage": name, "teacher_sha256": self.teacher.sha256, "epochs": epochs, "recipe": self.recipe_key}

    def _save(self, name: str, path: Path, weights: Mapping[str, Any]) -> None:
        save_weights(self.fence, path, weights, made_from=self.identity(name))

    def _saved(self, name: str, path: Path) -> dict[str, Any] | None:
        """The weights at `path`; None where there are none that were made so: then training them again is right.

        A file that is damaged is said to be, and moved aside if it is the run's own.
        """
        try:
            content = read_torch(path, self.device)
            if content.get("made_from", self.identity(name)) == self.identity(name):
                return dict(content["weights"])
            reason = "it was made from another teacher or recipe"
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
        except (Damaged, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = error.what if isinstance(error, Damaged) else f"it holds no {name}"
        ours = path.parent == self.fence.directory
        moved = f" and moved to {self.fence.set_aside(path, reason).name}" if ours else ""
        print(f"{path} was not used{moved}: {reason}", file=sys.stderr)
        return None

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
        self.updater = Updater(module.named_parameters(), stage.recipe, stage.device, torch.float32)
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
            save_checkpoint(self.stage.fence, self.checkpoint, self.stage.identity(self.name), self._state())
            self.stage.on_epoch(self.name, self.epoch, self.losses[-1])
        return dict(self.module.state_dict())

    def _train_epoch(self) -> float:
        total, count = torch.zeros((), device=self.stage.device), 0
        for batch in self.stage.loader.train(self.epoch, stage=self.name):
            loss = self.loss(self.module, self.stage.teacher.network(batch.images))
            self.updater.apply(loss)
            self.updater.require_health(lambda: [self.name])
            total, count = total + loss.detach() * len(batch.labels), count + len(batch.labels)
        return float(total) / count

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "model": self.module.state_dict(),
            "updater": self.updater.state_dict(),
            "losses": self.losses,
        }

    def _resume(self) -> None:
        stage = self.stage
        state, complaints = load_checkpoint(stage.fence, self.checkpoint, stage.identity(self.name), stage.device)
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        if state is not None:
            self.module.load_state_dict(state["model"])
            self.updater.load_state_dict(state["updater"])
            self.epoch, self.losses = state["epoch"], state["losses"]
