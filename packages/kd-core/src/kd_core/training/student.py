"""One student in training: its network, method, optimizer, watchdog and curves. Several may share a process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from kd_core.data.loaders import Batch
from kd_core.methods import METHODS
from kd_core.methods.base import FirstStage, Items
from kd_core.networks import build
from kd_core.networks.base import Network, Outputs
from kd_core.runtime.determinism import seed_of
from kd_core.runtime.device import place
from kd_core.teacher.frozen import Frozen
from kd_core.training.curves import Curves
from kd_core.training.epoch_meter import EpochMeter
from kd_core.training.evaluate import Score
from kd_core.training.objective import Objective
from kd_core.training.schedule import learning_rate
from kd_core.training.shuffled_targets import ShuffledTargets
from kd_core.training.update import Updater
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import KdError
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.variant import Control

Made = TypeVar("Made")


class Student:
    """State of one run between its steps. `epoch` counts finished epochs, `failure` ends the student and no other."""

    def __init__(
        self,
        experiment: Experiment,
        recipe: Recipe,
        teacher: Frozen | None,
        device: torch.device,
        dtype: torch.dtype,
        first_stage: FirstStage | None = None,
        *,
        classes: int | None = None,
    ) -> None:
        """`first_stage` is for a method that has one; without it such a method refuses its first step.

        `classes` is needed for a data set that is not in the catalogue.
        """
        self.experiment, self.recipe, self.device, self.dtype = experiment, recipe, device, dtype
        self.model = place(new_student(experiment, classes or DATASETS[experiment.dataset].classes), device)
        self.objective = _objective(experiment, recipe, self.model, teacher, first_stage)
        self.updater = Updater(self._trained(), recipe, device, dtype)
        self.meter = EpochMeter(("loss", *self.objective.factors), device)
        is_shuffled = experiment.differs.control == Control.SHUFFLED
        self.shuffled = ShuffledTargets(experiment.seed, device) if is_shuffled else None
        self.curves = Curves()
        self.epoch = 0
        self._epoch = torch.zeros((), dtype=torch.int64, device=device)
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.failure: KdError | None = None

    def _trained(self) -> Iterator[tuple[str, Tensor]]:
        """The network's parameters, then those that the method trains beside it."""
        yield from self.model.named_parameters()
        if (method := self.objective.method) is not None:
            own = place(method, self.device).named_parameters()
            yield from ((f"{method.name}'s {name}", value) for name, value in own if value.requires_grad)

    def begin_epoch(self) -> None:
        """Set what depends on the epoch alone, such as the learning rate."""
        self.updater.optimizer.lr = learning_rate(self.recipe, self.epoch)
        self._epoch.fill_(self.epoch)
        if self.shuffled:
            self.shuffled.begin_epoch(self.epoch)
        self.model.train()
        self.meter.clear()
        self._norms: dict[str, float] = {}

    @property
    def begins_epoch(self) -> bool:
        """True before an epoch's first step, which also measures gradient norms and so waits for the device."""
        return not self._norms

    def step(self, batch: Batch, teacher: Callable[[], Outputs | None]) -> None:
        """One optimizer step; after an epoch's first the host reads nothing of it, so that it can be recorded.

        `teacher` gives its outputs on this batch; it is asked only when the student has its own.
        """
        terms, logits = self._forward(batch, teacher)
        if self.begins_epoch:
            self._norms = self._gradient_norms(terms)
        loss = self.objective.total(terms)
        self.updater.apply(loss)
        self.meter.add({"loss": loss, **terms}, logits, batch.labels)

    def check(self, last: Callable[[], tuple[Batch, Outputs | None]]) -> None:
        """The host's share of a step; `last` makes its batch again. Raises WatchdogStop."""
        self.updater.require_health(lambda: self._terms_without_gradient(*last()))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything a step changes on the device, by name."""
        return {**self.updater.tensors, **dict(self.model.named_buffers()), **self.meter.tensors}

    def end_epoch(self, score: Score, seconds: float, students: int, validation: Score | None = None) -> bool:
        """Book the epoch, which trained `students`; True if its weights are the best so far. Raises WatchdogStop.

        `score` is of the test images. Where there is one of `validation` images it alone decides what is best.
        """
        means = self.meter.means()
        self.updater.watchdog.require_scale(self.updater.scale)
        if not math.isfinite(means["loss"]):
            names = [name for name in self.objective.factors if not math.isfinite(means[name])]
            raise self.updater.watchdog.loss_not_finite(names)
        self.curves.append(
            train_loss=means["loss"],
            train_acc=100 * means["correct"],
            test_loss=score.loss,
            test_acc=score.accuracy,
            lr=self.updater.optimizer.lr,
            seconds=seconds,
            students=students,
            skipped_steps=self.updater.watchdog.take_skipped(),
            terms={name: means[name] for name in self.objective.factors},
            gradient_norms=self._norms,
            **({"validation_loss": validation.loss, "validation_acc": validation.accuracy} if validation else {}),
        )
        self.epoch += 1
        return self._keep_if_best()

    @property
    def accuracies(self) -> list[float]:
        return list(self.curves.data["test_acc"])

    def _keep_if_best(self) -> bool:
        *before, latest = self.curves.choosing
        if before and latest <= max(before):
            return False
        self.best = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self.model.state_dict().items()
        }
        self.best_epoch = self.epoch
        return True

    def _gradient_norms(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Euclidean norm of each unweighted term's gradient on the student."""
        return {name: self._gradient_norm(term, self.updater.scale) for name, term in terms.items()}

    def _gradient_norm(self, term: Tensor, scale: float) -> float:
        """With `term` times `scale`, so that half precision holds what is small; times less where that is too large."""
        parameters = list(self.model.parameters())
        gradients = torch.autograd.grad(term * scale, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.linalg.vector_norm(gradient) for gradient in gradients if gradient is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(parts))) / scale if parts else 0.0
        if math.isfinite(norm) or scale <= 1:
            return norm
        return self._gradient_norm(term, max(scale / 16, 1.0))

    def _terms_without_gradient(self, batch: Batch, teacher: Outputs | None) -> list[str]:
        norms = self._gradient_norms(self._forward(batch, lambda: teacher)[0])
        return [name for name, norm in norms.items() if not math.isfinite(norm)]

    def _forward(self, batch: Batch, teacher: Callable[[], Outputs | None]) -> tuple[dict[str, Tensor], Tensor]:
        """The unweighted terms, and the logits (B, K)."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            outputs = self.model(batch.images)
        targets = teacher()
        if targets and self.shuffled:
            targets = self.shuffled(targets, batch)
        items = Items(batch.labels, batch.indices, self._epoch)
        return self.objective.terms(outputs, targets, items), outputs.logits

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on, and everything already found."""
        return {
            "epoch": self.epoch,
            "recipe": self.recipe.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "method": self.objective.method.state_dict() if self.objective.method else {},
            "weights": self.objective.weights,
            "updater": self.updater.state_dict(),
            "curves": self.curves.data,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.objective.method:
            self.objective.method.load_state_dict(state["method"])
            self.objective.reweigh(state.get("weights", self.objective.weights))
        self.updater.load_state_dict(state["updater"])
        self._take_results(state)

    def go_on_from(self, state: Mapping[str, Any], parent: Experiment) -> None:
        """Be where the run `parent` was in `state`: its network, momentum and curves, and its method's modules.

        A method's modules belong to a method and a teacher: if this student has others, they begin anew.
        """
        own = self.experiment
        if (own.method, own.company) == (parent.method, parent.company):
            self.load_state_dict(state)
            return
        self.model.load_state_dict(state["model"])
        self.updater.load_state_dict(state["updater"], first=len(list(self.model.parameters())))
        self._take_results(state)

    def _take_results(self, state: Mapping[str, Any]) -> None:
        self.curves = Curves(state["curves"])
        self.best = {name: value.cpu() for name, value in state["best"].items()}
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]


def new_student(experiment: Experiment, classes: int) -> Network:
    """An untrained network whose weights depend on its name and the seed alone: equal for every method and alpha."""
    return seeded(lambda: build(experiment.student, classes), experiment, "model")


def seeded(make: Callable[[], Made], experiment: Experiment, purpose: str) -> Made:
    """`make()` with torch's global generator seeded for one purpose, and put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(purpose, experiment.student, experiment.seed))
        return make()


def _objective(
    experiment: Experiment,
    recipe: Recipe,
    student: Network,
    teacher: Frozen | None,
    first_stage: FirstStage | None,
) -> Objective:
    if teacher is None:
        return Objective(label_smoothing=recipe.label_smoothing)
    kind = METHODS[experiment.method]
    method = seeded(
        lambda: kind.build(student=student.widths, teacher=teacher.widths, temperature=recipe.temperature),
        experiment,
        experiment.method,
    )
    if first_stage is not None:
        method.prepare(first_stage)
    adds = recipe.of(experiment.method).mix == "sum"
    weights = recipe.weights_of(experiment.method)
    return Objective(method, alpha=experiment.alpha or 0.0, weights=weights, adds=adds)
