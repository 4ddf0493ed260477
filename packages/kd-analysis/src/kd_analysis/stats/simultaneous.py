"""Several t statistics at once: the distribution of the largest of them, whatever their correlation.

Comparisons with one reference share it, so their statistics go together (correlation 1/2 where all numbers are equal):
Bonferroni would charge them for being separate questions. The distribution is a multivariate t (Dunnett 1955): a
two-dimensional quadrature where the correlations have one common factor. Where they nearly have one (a run is missing),
the quadrature is corrected by the difference that the true correlations make over fixed quasi-random directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

NODES = 96
SCALES = 320
DIRECTIONS = 2**14
FACTOR = 1e-9
"""A correlation matrix whose entries are products of loadings to within this has one common factor."""


@dataclass(frozen=True, eq=False)
class LargestT:
    """The largest of K t statistics with correlation matrix `correlation` (K, K) and `degrees` of freedom in common."""

    correlation: Floats
    degrees: int

    def beyond(self, t: float) -> float:
        """P(max |T| >= |t|): the p value of one statistic, adjusted for all."""
        return float(np.clip(self._tail(abs(float(t)), two_sided=True), 0.0, 1.0))

    def above(self, t: float) -> float:
        """P(max T >= t), one-sided."""
        return float(np.clip(self._tail(float(t), two_sided=False), 0.0, 1.0))

    def critical(self, confidence: float) -> float:
        """The half width, in standard errors, of intervals that hold at once with probability `confidence`."""
        return _critical(self.correlation.tobytes(), self.degrees, confidence, two_sided=True)

    def critical_above(self, confidence: float) -> float:
        """The same for one-sided bounds."""
        return _critical(self.correlation.tobytes(), self.degrees, confidence, two_sided=False)

    def _tail(self, t: float, *, two_sided: bool) -> float:
        if not math.isfinite(t):
            return 0.0 if t > 0 else 1.0
        near = self._integrated(t, self._loadings, two_sided=two_sided)
        if self._has_one_factor:
            return near
        true, nearly = (_averaged(t, each[not two_sided], self.degrees) for each in self._largest)
        return near + true - nearly

    def _integrated(self, t: float, loadings: Floats, *, two_sided: bool) -> float:
        scales, shares = _scales(self.degrees)
        z, weights = _normal_nodes()
        inside = np.zeros((len(scales), len(z)))
        for loading, count in zip(*np.unique(loadings, return_counts=True), strict=True):
            rest = math.sqrt(1 - loading**2)
            upper = (t * scales[:, None] - loading * z) / rest
            share = special.ndtr(upper)
            if two_sided:
                below = special.ndtr((-t * scales[:, None] - loading * z) / rest)
                share = np.maximum(share - below, 0.0)  # rounding can leave less than nothing where t is next to 0
            with np.errstate(divide="ignore"):
                inside += count * np.log(share)
        return float(shares @ (-np.expm1(inside) @ weights))

    @cached_property
    def _loadings(self) -> Floats:
        return _loadings(self.correlation)

    @cached_property
    def _has_one_factor(self) -> bool:
        rest = self.correlation - np.outer(self._loadings, self._loadings)
        return bool(np.abs(rest[~np.eye(len(rest), dtype=bool)]).max(initial=0.0) < FACTOR)

    @cached_property
    def _largest(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """The largest |Z| and Z in each direction, for the true correlations and for those of one factor."""
        from scipy.stats import qmc  # of uneven designs alone: it takes long to load

        uniform = qmc.Sobol(len(self.correlation), seed=0).random(DIRECTIONS)
        directions = special.ndtri(np.clip(uniform, 1e-15, 1 - 1e-15))
        nearly = np.outer(self._loadings, self._loadings)
        np.fill_diagonal(nearly, 1.0)
        z, z_nearly = (directions @ _root(each).T for each in (self.correlation, nearly))
        return (np.abs(z).max(axis=1), z.max(axis=1)), (np.abs(z_nearly).max(axis=1), z_nearly.max(axis=1))


@lru_cache(maxsize=256)
def _critical(correlation: bytes, degrees: int, confidence: float, *, two_sided: bool) -> float:
    """Designs come again: every data set of a campaign has the same one, and so have its last and best epochs."""
    entries = np.frombuffer(correlation)
    largest = LargestT(entries.reshape(math.isqrt(len(entries)), -1), degrees)
    tail = largest.beyond if two_sided else largest.above
    high = 2.0
    while tail(high) > 1 - confidence:
        high *= 2
    return float(optimize.brentq(lambda t: tail(t) - (1 - confidence), 0.0, high, xtol=1e-10))


def equal_correlation(number: int, correlation: float = 0.5) -> Floats:
    """The (K, K) matrix of `number` comparisons with one reference in a complete balanced design."""
    return correlation + (1 - correlation) * np.eye(number)


def correlation_of(covariance: ArrayLike) -> Floats:
    """A covariance matrix (K, K) as correlations."""
    array = np.asarray(covariance, dtype=float)
    sds = np.sqrt(np.diag(array))
    return np.asarray(array / np.outer(sds, sds))


def _loadings(correlation: Floats) -> Floats:
    """Loadings (K,) whose products are nearest to the correlations (principal factor, iterated), rounded to 1e-12."""
    k = len(correlation)
    if k == 1:
        return np.zeros(1)
    shared = np.full(k, 0.5)
    loadings = np.zeros(k)
    for _ in range(500):
        values, vectors = np.linalg.eigh(correlation - np.diag(1 - shared))
        loadings = np.abs(vectors[:, -1]) * math.sqrt(max(float(values[-1]), 0.0))
        closer = np.clip(loadings**2, 0.0, 0.999)
        done = float(np.abs(closer - shared).max()) < 1e-14
        shared = closer
        if done:
            break
    return np.asarray(np.round(np.minimum(loadings, 0.9995), 12), dtype=np.float64)


def _root(correlation: Floats) -> Floats:
    """A lower triangular root, which moves little when the correlations do."""
    return np.asarray(np.linalg.cholesky(correlation + 1e-10 * np.eye(len(correlation))))


def _averaged(t: float, largest: Floats, degrees: int) -> float:
    """P(largest Z >= t S): in each direction the chance of S is a chi-square probability."""
    if t <= 0:
        beyond = special.chdtr(degrees, degrees * (largest / t) ** 2) if t < 0 else np.zeros_like(largest)
        return float(np.where(largest >= 0, 1.0, 1.0 - beyond).mean())
    return float(np.where(largest >= 0, special.chdtr(degrees, degrees * (largest / t) ** 2), 0.0).mean())


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Floats, Floats]:
    """Nodes and weights of a standard normal expectation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / math.sqrt(2 * math.pi)


@lru_cache(maxsize=64)
def _scales(degrees: int) -> tuple[Floats, Floats]:
    """Values of S = sqrt(chi-square / degrees) and their shares: the trapezoid rule over log S, which suits it."""
    low, high = (0.5 * math.log(end / degrees) for end in (_quantile(degrees, 1e-16), _quantile(degrees, 1 - 1e-15)))
    logs = np.linspace(low, high, SCALES)
    squares = np.exp(2 * logs) * degrees
    density = degrees / 2 * np.log(squares) - squares / 2
    density = np.exp(density - density.max())
    return np.exp(logs), density / density.sum()


def _quantile(degrees: int, probability: float) -> float:
    return float(2 * special.gammaincinv(degrees / 2, probability))
