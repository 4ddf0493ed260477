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
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float(((a == b).mean() - expected) / (1 - expected)) if expected < 1 else float("nan")
