"""A whole run: stages, epochs, steps; what it publishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.methods import METHODS
from kd_core.methods.base import Items
from kd_core.networks import build
from kd_core.networks.base import Outputs, Widths
from tests.core.reference.images import Images, seed_from
from tests.core.reference.losses import Distillation, Terms, paraphraser

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
WEIGHTS = {
    "ce": 1,
    "kl": 1,
    "factor": 500,
    "attention": 1,
    "hint": 1,
    "distance": 1,
    "angle": 2,
    "nst": 50,
    "target": 1,
    "others": 2,
    "inter": 2,
    "intra": 2,
    "similarity": 3000,
}
WIDTHS = Widths(16, 32, 64, 10)
Ask = Callable[[Tensor], Outputs]
State = dict[str, Tensor]


@dataclass
class Result:
    """Curves as metrics.json names them; weights and representations by file, without its ending."""

    curves: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, State] = field(default_factory=dict)
    representations: dict[str, State] = field(default_factory=dict)
    best_epoch: int = 0


def train(
    images: Images, model: str, seed: int, recipe: Mapping[str, Any], method: str, alpha: float, ask: Ask | None
) -> Result:
    """The run of `method`, "pure" without a teacher to `ask`."""
    result, dtype = Result(), DTYPES[recipe["amp_dtype"]]
    student = seeded(lambda: build(model, 10), "model", model, seed)
    terms_of = _Terms(images, model, seed, recipe, method, ask, result)
    descent = Descent([*student.parameters(), *terms_of.trained], recipe, dtype)
    for epoch in range(recipe["epochs"]):
        student.train()
        seen = Epoch(descent.begin_epoch(epoch, recipe["epochs"]))
        for batch, labels in images.train(seed, epoch, recipe["batch_size"]):
            outputs = under(dtype, student, batch)
            terms = terms_of(outputs, batch, labels, epoch)
            shares = {name: (1 - alpha if name == "ce" else alpha) * terms_of.weight(name) for name in terms}
            loss = torch.stack([shares[name] * terms[name] for name in terms]).sum()
            seen.before(terms, student, descent.scaler.get_scale())
            seen.skipped += descent.step(loss)
            seen.after({"loss": loss, **terms}, outputs.logits, labels)
        publish(result, seen, student, images, dtype, recipe["representation_epochs"])
    return result


Module = TypeVar("Module", bound=nn.Module)


def seeded(make: Callable[[], Module], *parts: object) -> Module:
    torch.manual_seed(seed_from(*parts))
    return channels_last(make())


def channels_last(module: Module) -> Module:
    return module.to(memory_format=torch.channels_last)


def under(dtype: torch.dtype, network: nn.Module, batch: Tensor) -> Outputs:
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        outputs: Outputs = network(batch)
    return outputs


def in_float32(outputs: Outputs) -> Outputs:
    return Outputs(*(value.float() for value in outputs))


def trained_teacher(model: str, weights: State, dtype: torch.dtype) -> Ask:
    """As it was trained, BatchNorm and all, but in eval mode."""
    network = channels_last(build(model, 10)).eval()
    network.load_state_dict(weights)

    @torch.no_grad()
    def ask(batch: Tensor) -> Outputs:
        return under(dtype, network, batch)

    return ask


class _Terms:
    """Cross-entropy and the method's terms of a batch; each time, the plain losses agree with kd_core's."""

    def __init__(
        self, images: Images, model: str, seed: int, recipe: Mapping[str, Any], method: str, ask: Ask | None, to: Result
    ) -> None:
        self.method, self.recipe, self.ask = method, recipe, ask
        self.trained: list[nn.Parameter] = []
        if ask is None:
            return
        self.plain = seeded(lambda: Distillation(method, recipe["temperature"]), method, model, seed)
        self.own = channels_last(
            METHODS[method].build(student=WIDTHS, teacher=WIDTHS, temperature=recipe["temperature"])
        )
        copy(self.plain, self.own)
        if method == "factor_transfer":
            stage = train_paraphraser(images, seed, recipe, ask, to)
            self.own.prepare(lambda name, make, loss: renamed(stage, make()))
        self.trained = [parameter for parameter in self.own.parameters() if parameter.requires_grad]

    def weight(self, name: str) -> float:
        weight: float = self.recipe["weights"].get(f"{self.method}.{name}", WEIGHTS[name])
        return weight

    def __call__(self, outputs: Outputs, batch: Tensor, labels: Tensor, epoch: int) -> Terms:
        smoothing = 0.0 if self.ask else self.recipe["label_smoothing"]
        ce = functional.cross_entropy(outputs.logits.float(), labels, label_smoothing=smoothing)
        if self.ask is None:
            return {"ce": ce}
        target = self.ask(batch)
        items = Items(labels, torch.arange(len(labels)), torch.tensor(epoch))
        self._agree(outputs, target, items)
        return {"ce": ce, **self.own.terms_of(outputs, target, items)}

    def _agree(self, outputs: Outputs, target: Outputs, items: Items) -> None:
        copy(self.own, self.plain)
        leaves = [Outputs(*(value.detach().float().requires_grad_() for value in outputs)) for _ in range(2)]
        ours = self.own.terms_of(leaves[0], target, items)
        theirs = self.plain(leaves[1], in_float32(target), items.labels, int(items.epoch))
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert close(ours[name], theirs[name], 1e-4), (name, ours[name], theirs[name])
            slopes = [
                torch.autograd.grad(t[name], of, retain_graph=True, allow_unused=True)
                for t, of in zip((ours, theirs), leaves, strict=True)
            ]
            assert all(close(a, b, 1e-3) for a, b in zip(*slopes, strict=True)), name


def close(ours: Tensor | None, theirs: Tensor | None, share: float) -> bool:
    """Whether they differ by at most this share of their length."""
    if ours is None or theirs is None:
        return ours is theirs
    return bool((ours - theirs).norm() <= share * theirs.norm() + 1e-9)


def copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(renamed(source.state_dict(), target))


def renamed(state: Mapping[str, Tensor], like: nn.Module) -> State:
    """The same values, in the same order, under the names of another module."""
    return dict(zip(like.state_dict(), state.values(), strict=True))


class Descent:
    """Stochastic gradient descent by torch.optim, with each epoch's learning rate and a scaler for float16."""

    def __init__(self, parameters: list[nn.Parameter], recipe: Mapping[str, Any], dtype: torch.dtype) -> None:
        self.lr = torch.tensor(recipe["lr"])
        self.first = recipe["lr"]
        self.optimizer = torch.optim.SGD(
            parameters, lr=self.lr, momentum=recipe["momentum"], weight_decay=recipe["weight_decay"], fused=True
        )
        # the scaler leaves a step out itself: torch's fused first step, told to skip, keeps velocities nobody wrote
        self.optimizer._step_supports_amp_scaling = False
        self.scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)

    def begin_epoch(self, epoch: int, epochs: int) -> float:
        lr: float = self.first * (1 + math.cos(math.pi * epoch / epochs)) / 2
        self.lr.fill_(lr)
        return lr

    def step(self, loss: Tensor) -> bool:
        """True if a gradient was not finite and the step was skipped."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() < before


def train_paraphraser(images: Images, seed: int, recipe: Mapping[str, Any], ask: Ask, to: Result) -> State:
    module = seeded(paraphraser, "paraphraser", seed)
    descent = Descent(list(module.parameters()), recipe, torch.float32)
    losses: list[float] = []
    for epoch in range(recipe["paraphraser_epochs"]):
        descent.begin_epoch(epoch, recipe["paraphraser_epochs"])
        sums = []
        for batch, labels in images.train(seed, epoch, recipe["batch_size"], "paraphraser"):
            feature = ask(batch).layer3.float()
            loss = functional.mse_loss(module(feature), feature)
            descent.step(loss)
            sums += [float(loss.detach())] * len(labels)
        losses.append(sum(sums) / len(sums))
    to.curves["paraphraser"], to.weights["paraphraser"] = losses, dict(module.state_dict())
    return to.weights["paraphraser"]


def _norm(term: Tensor, student: nn.Module, scale: float) -> float:
    """Of the term's gradient, multiplied by `scale` on its way through half precision."""
    slopes = torch.autograd.grad(scale * term, list(student.parameters()), retain_graph=True, allow_unused=True)
    return float(torch.cat([slope.flatten() for slope in slopes if slope is not None]).norm()) / scale


class Epoch:
    """Means over an epoch's images, and the norms of each term's gradient at its first step."""

    def __init__(self, lr: float) -> None:
        self.lr, self.skipped, self.images = lr, 0, 0
        self.norms: dict[str, float] = {}
        self.sums: dict[str, float] = {}

    def before(self, terms: Terms, student: nn.Module, scale: float) -> None:
        if not self.norms:
            for name, term in terms.items():
                tries = (_norm(term, student, scale / 16**times) for times in range(5))
                self.norms[name] = next(norm for norm in tries if math.isfinite(norm))

    def after(self, values: Terms, logits: Tensor, labels: Tensor) -> None:
        self.images += len(labels)
        hits = (logits.argmax(1) == labels).float().mean()
        for name, value in {**values, "hits": hits}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach()) * len(labels)

    def row(self) -> dict[str, float]:
        """What metrics.json says of it, groups before a dot."""
        means = {name: total / self.images for name, total in self.sums.items()}
        return {
            "train_loss": means["loss"],
            "train_acc": 100 * means["hits"],
            "lr": self.lr,
            "skipped_steps": self.skipped,
            **{f"terms.{name}": means[name] for name in self.norms},
            **{f"gradient_norms.{name}": norm for name, norm in self.norms.items()},
        }


@torch.no_grad()
def score(student: nn.Module, images: Images, dtype: torch.dtype) -> dict[str, float]:
    batch, labels = images.test()
    logits = under(dtype, student.eval(), batch).logits.float()
    hits = (logits.argmax(1) == labels).double().mean()
    return {"test_loss": float(functional.cross_entropy(logits, labels)), "test_acc": 100 * float(hits)}


def publish(
    to: Result, seen: Epoch, student: nn.Module, images: Images, dtype: torch.dtype, kept: tuple[int, ...]
) -> None:
    """The end of an epoch: its row, last and best weights, representations."""
    for name, value in {**seen.row(), **score(student, images, dtype)}.items():
        to.curves.setdefault(name, []).append(value)
    accuracies, epoch = to.curves["test_acc"], len(to.curves["test_acc"])
    files = {"representations": "last"}
    if epoch == 1 or accuracies[-1] > max(accuracies[:-1]):
        to.best_epoch = epoch
        files["representations_best"] = "best"
    if epoch in kept:
        files[f"representations_epoch_{epoch}"] = f"epoch_{epoch}"
    for representations, weights in files.items():
        to.weights[weights] = {name: value.clone() for name, value in student.state_dict().items()}
        to.representations[representations] = represent(student, images)


@torch.no_grad()
def represent(student: nn.Module, images: Images) -> State:
    outputs: Outputs = student.eval()(images.test()[0])
    pooled = {f"layer{number}": tap.mean((2, 3)) for number, tap in enumerate(outputs.features, 1)}
    return {**pooled, "logits": outputs.logits}
