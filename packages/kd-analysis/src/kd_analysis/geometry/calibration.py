"""How far a network's confidence may be believed, and which classes it gets right, from its logits (N, K)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from kd_analysis.geometry.spectrum import Array

BINS = 15


def expected_calibration_error(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean distance of accuracy and confidence over 15 bins of the top probability (Guo 2017), percentage points."""
    chances = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    top, right = chances.max(axis=1), chances.argmax(axis=1) == np.asarray(labels)
    bins = np.minimum(np.ceil(top * BINS).astype(int) - 1, BINS - 1)
    gaps = np.bincount(bins, weights=right - top, minlength=BINS)
    return float(100 * np.abs(gaps).sum() / len(top))


def brier_score(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance of probabilities and the true class, summed over classes (Brier 1950): 0 to 2."""
    chances = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    truth = np.asarray(labels)
    return float(((chances**2).sum(axis=1) - 2 * chances[np.arange(len(truth)), truth] + 1).mean())


def mean_confidence(logits: ArrayLike) -> float:
    """Mean top probability."""
    return float(softmax(np.asarray(logits, dtype=np.float64), axis=1).max(axis=1).mean())


def accuracy_by_class(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Accuracy in percent of each label from 0 to the largest; NaN for one without items."""
    truth = np.asarray(labels)
    right = np.asarray(logits).argmax(axis=1) == truth
    counts = np.bincount(truth)
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * np.bincount(truth, weights=right) / counts)
