"""The columns that programs may rely on: each table begins with them, in this order."""

from __future__ import annotations

from collections.abc import Mapping

CONTRACTS: Mapping[str, tuple[str, ...]] = {
    "simultaneous": ("dataset", "method", "alpha", "n", "difference", "low", "high", "p_adjusted", "conclusion"),
    "trends": ("dataset", "method", "n", "slope", "low", "high", "p", "p_adjusted", "conclusion"),
    "geometry": ("run", "reference", "layer", "measure", "value"),
    "asymmetry": (
        *("dataset", "teacher_is", "method", "alpha", "n", "agreement", "plain"),
        *("difference", "low", "high", "p_adjusted", "conclusion"),
    ),
}
