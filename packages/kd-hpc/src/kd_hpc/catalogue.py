"""The names a campaign may use, with the few facts every package needs about them.

Each has its line here, because a login node and a laptop check names without torch, and one file in kd-core that holds
what it stands for: in `data/sources/`, `methods/` or `networks/`, called like it in small letters, with _ for -. How to
add one: docs/guide/a-campaign-of-your-own.md

Another installed package may add more by entry points, each an object of one of the three kinds below.
"""

from __future__ import annotations

import re
from collections.abc import KeysView, Mapping
from math import sqrt
from typing import NamedTuple, Self

from kd_hpc.installed import Names


class DatasetFacts(NamedTuple):
    """Number of classes K and of items in each split; images are (size, size) after padding."""

    classes: int
    train_items: int
    test_items: int
    size: int

    @classmethod
    def recorded(cls, fields: object) -> Self | None:
        """What a record says, by name; None where it says nothing of use."""
        if not isinstance(fields, Mapping) or set(fields) != set(cls._fields):
            return None
        if not all(isinstance(number, int) and number > 0 for number in fields.values()):
            return None
        return cls(**fields)

    @property
    def chance_accuracy(self) -> float:
        """The test accuracy, in percent, that guessing reaches at most: 1/K and four standard errors."""
        guess = 1 / self.classes
        return 100 * (guess + 4 * sqrt(guess * (1 - guess) / self.test_items))


class AddedDataset(NamedTuple):
    """What an entry point of the group kd.datasets leads to; `code` is a kd_core.data.sources.base.Source."""

    facts: DatasetFacts
    code: str


class AddedNetwork(NamedTuple):
    """What one of kd.networks leads to; `code` makes a kd_core.networks.base.Network of the number of classes."""

    code: str


class AddedMethod(NamedTuple):
    """What one of kd.methods leads to: its terms with their weights; `code` is a kd_core.methods.base.Method."""

    weights: Mapping[str, float]
    code: str


DATASETS: Names[DatasetFacts] = Names("kd.datasets", AddedDataset, lambda added: added.facts) | {
    "Cifar10": DatasetFacts(10, 50_000, 10_000, 32),
    "Cifar100": DatasetFacts(100, 50_000, 10_000, 32),
    "SVHN": DatasetFacts(10, 73_257, 26_032, 32),
    "TinyImageNet": DatasetFacts(200, 100_000, 10_000, 64),
    "FashionMNIST": DatasetFacts(10, 60_000, 10_000, 32),
    "Digits": DatasetFacts(10, 1_433, 364, 8),
}

Blocks = tuple[int, int, int]

MODELS: Names[Blocks | None] = Names[Blocks | None]("kd.networks", AddedNetwork, lambda added: None) | {
    "ResNet112": (18, 18, 18),
    "ResNet56": (9, 9, 9),
    "ResNet32": (5, 5, 5),
    "ResNet20": (3, 3, 3),
    "ResNetBaby": (1, 1, 1),
    "ResNet32x4": None,
    "ResNet8x4": None,
    "WRN-40-2": None,
    "WRN-16-2": None,
}
"""Blocks in each of a residual network's three stages; None for a network with a file of its own in networks/."""

LOSS_TERMS: Names[Mapping[str, float]] = Names("kd.methods", AddedMethod, lambda added: added.weights) | {
    "logit": {"kl": 1.0},
    "factor_transfer": {"factor": 500.0},
    "attention_transfer": {"attention": 1.0},
    "fitnets": {"hint": 1.0},
    "rkd": {"distance": 1.0, "angle": 2.0},
    "nst": {"nst": 50.0},
    "dkd": {"target": 1.0, "others": 2.0},
    "dist": {"inter": 2.0, "intra": 2.0},
    "sp": {"similarity": 3000.0},
}
"""Each method's loss terms with their default weights, which a recipe may change by name: "rkd.angle"."""

METHODS: KeysView[str] = LOSS_TERMS.keys()

SCHEDULERS: tuple[str, ...] = ("local", "pbs", "slurm")
"""Each is a file of that name in kd_hpc/schedulers/kinds, from which everything particular to it is reached."""

ON_LOGITS: tuple[str, ...] = ("logit", "dkd", "dist")
"""Methods that compare each item's logits, softened by the temperature: only their targets can be shuffled."""

PURE = "pure"

_LAST_TORCH = {"V100": (2, 10), "P100": (2, 7), "P40": (2, 7), "GTX1080": (2, 7)}


def last_torch_for(gpu: str) -> tuple[int, int] | None:
    """The newest torch whose published wheels still run on the GPU called `gpu`; None if every one does so far.

    Later ones install, import, and then fail for want of a kernel.
    """
    plain = re.sub(r"[^A-Z0-9]", "", gpu.upper())
    return next((limit for name, limit in _LAST_TORCH.items() if name in plain), None)
