"""Tails and quantiles of the usual distributions, from scipy's special functions.

scipy.stats says the same; to load it takes a process that draws figures longer than loading all else it needs.
"""

from __future__ import annotations

import math


def t_quantile(p: float, degrees: float) -> float:
    """The value that Student's t stays below with probability `p`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, p))


def t_tail(t: float, degrees: float) -> float:
    """P(T > t) of Student's t."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))


def noncentral_t_tail(t: float, degrees: float, shift: float) -> float:
    """P(T > t) of the noncentral t; NaN where that underflows."""
    from scipy.special import nctdtr

    return 1 - float(nctdtr(degrees, shift, t))


def noncentral_t_below(t: float, degrees: float, shift: float) -> float:
    """P(T < t) of the noncentral t; NaN where that underflows."""
    from scipy.special import nctdtr

    return float(nctdtr(degrees, shift, t))


def f_tail(value: float, between: float, within: float) -> float:
    """P(F > value)."""
    from scipy.special import fdtrc

    return float(fdtrc(between, within, value))


def beta_quantile(p: float, a: float, b: float) -> float:
    """The value that a beta variable stays below with probability `p`."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, p))


def normal_quantile(p: float) -> float:
    """The value that a standard normal variable stays below with probability `p`."""
    from scipy.special import ndtri

    return float(ndtri(p))


def normal_tail(z: float) -> float:
    """P(Z > z)."""
    from scipy.special import ndtr

    return float(ndtr(-z))


def both_below(h: float, k: float, correlation: float) -> float:
    """P(Z1 < h, Z2 < k) of two standard normal variables, h and k > 0, |correlation| < 1 (Owen 1956)."""
    from scipy.special import ndtr, owens_t

    rest = math.sqrt(1 - correlation**2)
    wedges = owens_t(h, (k / h - correlation) / rest) + owens_t(k, (h / k - correlation) / rest)
    return float((ndtr(h) + ndtr(k)) / 2 - wedges)
