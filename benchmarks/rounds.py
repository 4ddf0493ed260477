"""What the tables of this folder have in common: a median with its quartiles, and the machine they were made on."""

from __future__ import annotations

import os
import platform
import statistics


def spread(values: list[float], unit: str) -> str:
    """The median, and the quartiles in brackets."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:9.2f} {unit} ({low:.2f} to {high:.2f})"


def machine() -> str:
    """Cores and load of this machine, for the head of a table."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{platform.machine()}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}"
