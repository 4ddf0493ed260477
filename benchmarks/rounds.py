"""Variants timed in turn, round after round, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each variant returned in each round, after one round that does not count."""
    for variant in variants.values():
        variant()
    results: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            results[name].append(variant())
    return results


def spread(values: list[float], unit: str) -> str:
    """The median, and the quartiles in brackets."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:9.2f} {unit} ({low:.2f} to {high:.2f})"


def machine() -> str:
    """Cores and load of this machine, for the head of a table."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{platform.machine()}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}"
