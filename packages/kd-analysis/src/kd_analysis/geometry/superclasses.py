"""Coarse labels of data sets that have them: CIFAR-100's 100 classes in 20 superclasses (Krizhevsky 2009)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CIFAR100_NAMES = (
    "aquatic mammals",
    "fish",
    "flowers",
    "food containers",
    "fruit and vegetables",
    "household electrical devices",
    "household furniture",
    "insects",
    "large carnivores",
    "large man-made outdoor things",
    "large natural outdoor scenes",
    "large omnivores and herbivores",
    "medium-sized mammals",
    "non-insect invertebrates",
    "people",
    "reptiles",
    "small mammals",
    "trees",
    "vehicles 1",
    "vehicles 2",
)
_CIFAR100 = (
    (4, 30, 55, 72, 95),
    (1, 32, 67, 73, 91),
    (54, 62, 70, 82, 92),
    (9, 10, 16, 28, 61),
    (0, 51, 53, 57, 83),
    (22, 39, 40, 86, 87),
    (5, 20, 25, 84, 94),
    (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97),
    (12, 17, 37, 68, 76),
    (23, 33, 49, 60, 71),
    (15, 19, 21, 31, 38),
    (34, 63, 64, 66, 75),
    (26, 45, 77, 79, 99),
    (2, 11, 35, 46, 98),
    (27, 29, 44, 78, 93),
    (36, 50, 65, 74, 80),
    (47, 52, 56, 59, 96),
    (8, 13, 48, 58, 90),
    (41, 69, 81, 85, 89),
)
NAMES: dict[str, tuple[str, ...]] = {"Cifar100": CIFAR100_NAMES}
MEMBERS: dict[str, tuple[tuple[int, ...], ...]] = {"Cifar100": _CIFAR100}


def superclasses(dataset: str, labels: ArrayLike) -> NDArray[np.int64] | None:
    """The coarse label of each item; None for a data set without any."""
    members = MEMBERS.get(dataset)
    fine = np.asarray(labels)
    if members is None or (len(fine) and fine.max() >= sum(map(len, members))):
        return None
    coarse = np.empty(sum(map(len, members)), dtype=np.int64)
    for number, of in enumerate(members):
        coarse[list(of)] = number
    return np.asarray(coarse[fine])
