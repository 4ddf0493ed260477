"""Two networks compared by their logits (N, K): do they say the same, with the same confidence, and err together?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Top-1 accuracy in percent."""
    return float(100 * (np.asarray(logits).argmax(axis=1) == np.asarray(labels)).mean())


def top1_agreement(first: ArrayLike, second: ArrayLike) -> float:
    """Share of items on which both name the same class."""
    return float((np.asarray(first).argmax(axis=1) == np.asarray(second).argmax(axis=1)).mean())


def kl_divergence(teacher: ArrayLike, student: ArrayLike) -> float:
    """Mean KL(teacher || student) of the softmax distributions at temperature 1, in nats; not symmetric."""
    t = log_softmax(np.asarray(teacher, dtype=np.float64), axis=1)
    s = log_softmax(np.asarray(student, dtype=np.float64), axis=1)
    return float((np.exp(t) * (t - s)).sum(axis=1).mean())


def error_consistency(first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> float:
    """Cohen's kappa of being right (Geirhos 2020): agreement beyond what both accuracies alone imply; NaN if no
    errors."""
    truth = np.asarray(labels)
    a, b = (np.asarray(side).argmax(axis=1) == truth for side in (first, second))
    return kappa(float((a == b).mean()), a, b)


def kappa(agreement: float, first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa of an agreement between two (N,) yes-or-no answers as often yes as these; NaN if it must be 1."""
    a, b = (float(np.asarray(side).mean()) for side in (first, second))
    expected = a * b + (1 - a) * (1 - b)
    return (agreement - expected) / (1 - expected) if expected < 1 else float("nan")


def agreement_where(student: ArrayLike, teacher: ArrayLike, labels: ArrayLike) -> tuple[float, float, int]:
    """Share of items answered as the teacher does, in percent: where it is right, and where it is wrong; and how many
    those are. NaN where there are none."""
    truth = np.asarray(labels)
    ours, theirs = (np.asarray(side).argmax(axis=1) for side in (student, teacher))
    right, same = theirs == truth, ours == theirs
    shares = [float(100 * same[part].mean()) if part.any() else float("nan") for part in (right, ~right)]
    return shares[0], shares[1], int((~right).sum())
