"""Who is asked why a job died: one witness a file in causes/. A new cause is such a file, and a line here.

They are heard in this order, from the most to the least specific, and the first who has something to say is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from kd_hpc.diagnosis.case import Case, Cause, Finding

_ORDER = (
    "gpu_fault",
    "limits",
    "output_folder",
    "node",
    "gpu_memory",
    "host_memory",
    "disk",
    "superseded",
    "exception",
    "abort",
    "not_finite",
    "deleted",
    "signals",
    "said",
    "ended",
    "unknown",
)
_MODULES = [import_module(f"kd_hpc.diagnosis.causes.{name}") for name in _ORDER]

WITNESSES: tuple[Callable[[Case], Finding | None], ...] = tuple(module.witness for module in _MODULES)
CAUSES: dict[str, Cause] = {
    cause.name: cause for module in _MODULES for cause in vars(module).values() if isinstance(cause, Cause)
}
"""By the name that records have."""
