"""Where a result comes from, as far as a process can know: code, versions, hardware, data."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from kd_core.data.images import Dataset
from kd_hpc.catalogue import DATASETS, LOSS_TERMS, MODELS
from kd_hpc.experiment import Experiment


def provenance(device: torch.device, dtype: torch.dtype, dataset: Dataset) -> dict[str, Any]:
    """What goes into the record of every run that this process trains."""
    return {
        "code_version": version("kd-core"),
        "code_sha256": code_sha256(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "device": device.type,
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "machine": platform.machine(),
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "deterministic": torch.get_deterministic_debug_mode() > 0,
        "data_sha256": dataset.sha256,
        "dataset": dataset.facts._asdict(),
    }


def packages_of(experiment: Experiment) -> dict[str, str]:
    """What of the run's data set, method and networks other packages add: by name, the package with its version."""
    asked = (
        (DATASETS, experiment.dataset),
        (LOSS_TERMS, experiment.method),
        (MODELS, experiment.teacher or ""),
        (MODELS, experiment.student),
    )
    found = {name: names.package(name) for names, name in asked}
    return {name: package for name, package in found.items() if package}


def code_sha256() -> str:
    """One hash over this package's source files, names and content."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
