"""Unbiased HSIC (Song 2012), and of a representation's linear kernel what is the same against every other one."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from kd_analysis.geometry.spectrum import Array, centred


class Side:
    """One side of comparisons: a centred representation `values` (N, C), and each of its terms computed once."""

    def __init__(self, x: ArrayLike) -> None:
        self.values = centred(x)

    @classmethod
    def of(cls, x: ArrayLike | Side) -> Side:
        return x if isinstance(x, Side) else cls(x)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def diagonal(self) -> Array:
        """Squared norms of the items (N,): the diagonal of the linear kernel."""
        return np.asarray((self.values**2).sum(axis=1))

    @cached_property
    def rows(self) -> Array:
        """Sums of the kernel's rows (N,) without the diagonal."""
        return np.asarray(self.values @ self.values.sum(axis=0) - self.diagonal)

    @cached_property
    def norm(self) -> float:
        return float(np.linalg.norm(self.values))

    @cached_property
    def gram_norm(self) -> float:
        """Norm of the kernel (N, N), diagonal included."""
        return float(np.linalg.norm(self.values.T @ self.values))

    @cached_property
    def own(self) -> float:
        """HSIC of the kernel with itself."""
        trace = self.gram_norm**2 - float(self.diagonal @ self.diagonal)
        return unbiased(trace, float(self.rows @ self.rows), float(self.rows.sum()) ** 2, len(self))


def both(x: ArrayLike | Side, y: ArrayLike | Side) -> tuple[Side, Side]:
    """Two sides of a comparison. Raises ValueError if they are not of the same number of items."""
    a, b = Side.of(x), Side.of(y)
    if len(a) != len(b):
        raise ValueError("both sides must hold the same items")
    return a, b


def linear_hsic(a: Side, b: Side) -> float:
    """Unbiased HSIC of the linear kernels of (N, C) and (N, D), without forming an N x N matrix."""
    trace = float(np.linalg.norm(a.values.T @ b.values) ** 2 - a.diagonal @ b.diagonal)
    return unbiased(trace, float(a.rows @ b.rows), float(a.rows.sum() * b.rows.sum()), len(a))


def unbiased(trace: float, rows: float, middle: float, n: int) -> float:
    """HSIC (Song 2012) from tr(KM), the product of the row sums and that of the totals, diagonals left out; N >= 4."""
    if n < 4:
        return float("nan")
    return (trace + middle / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))


def ratio(cross: float, own_a: float, own_b: float) -> float:
    """CKA of three HSIC terms; NaN if one side has none of its own."""
    return float(cross / np.sqrt(own_a * own_b)) if own_a > 0 and own_b > 0 else float("nan")
