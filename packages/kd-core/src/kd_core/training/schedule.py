"""The learning rate of an epoch: a function of the recipe and the epoch alone, so that a resumed run has the same."""

from __future__ import annotations

import math

from kd_hpc.recipe import Recipe


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Of the epoch after `epoch` finished ones: by half a cosine, or by a factor at each milestone that is behind."""
    if recipe.schedule == "cosine":
        return cosine(recipe.lr, epoch, recipe.epochs)
    return recipe.lr * recipe.factor ** sum(epoch >= milestone for milestone in recipe.milestones)


def cosine(lr: float, epoch: int, epochs: int) -> float:
    """Learning rate in `epoch`, counted from 0: half a cosine from `lr` down to 0 (Loshchilov & Hutter 2017, eq. 5)."""
    return lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
