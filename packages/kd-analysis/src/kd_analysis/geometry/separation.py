"""How far classes lie apart: Fisher's trace ratio with what chance alone gives, and NC1 (Papyan 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kd_analysis.geometry.cka import class_residual
from kd_analysis.geometry.spectrum import Array, centred


def fisher_trace_ratio(x: ArrayLike, labels: ArrayLike) -> float:
    """tr(between-class scatter) / tr(within-class scatter) of (N, C); infinite where classes are points."""
    total, within = float((centred(x) ** 2).sum()), float((class_residual(x, labels) ** 2).sum())
    return (total - within) / within if within > 0 else float("inf")


def fisher_null(items: int, classes: int) -> float:
    """The ratio expected without any class structure: (K - 1) / (N - K)."""
    return (classes - 1) / (items - classes)


def nc1(x: ArrayLike, labels: ArrayLike) -> float:
    """tr(within covariance times pseudo-inverse of between covariance) / K: towards 0 as classes collapse."""
    residual, classes = class_residual(x, labels), len(np.unique(np.asarray(labels)))
    between: Array = centred(x) - residual
    n = len(residual)
    inverse = np.linalg.pinv(between.T @ between / n, rcond=1e-6, hermitian=True)
    return float(np.trace(residual.T @ residual / n @ inverse)) / classes
