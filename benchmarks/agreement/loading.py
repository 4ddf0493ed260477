"""Other people's code, loaded from where it lies: nothing of it is in this repository."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any


def from_file(path: Path, package: str = "", **beside: object) -> Any:
    """The module in `path`; `beside` stands for the neighbours that it would import from its package."""
    name = f"{package}.{path.stem}" if package else f"theirs_{path.parent.name}_{path.stem}"
    if package:
        sys.modules[package] = types.ModuleType(package)
    for neighbour, names in beside.items():
        module = types.ModuleType(f"{package}.{neighbour}" if package else neighbour)
        vars(module).update(names)  # type: ignore[call-overload]
        sys.modules[module.__name__] = module
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def install(requirement: str, folder: str) -> None:
    """Without what it depends on, which its losses do not need."""
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, requirement]
    subprocess.run(words, check=True, timeout=300)
    sys.path.insert(0, folder)


def torchdistill_losses() -> Any:
    sys.modules["torchdistill.losses"] = package = types.ModuleType("torchdistill.losses")
    found = importlib.util.find_spec("torchdistill")
    assert found is not None
    assert found.submodule_search_locations is not None
    package.__path__ = [f"{found.submodule_search_locations[0]}/losses"]  # leaves out what its package imports besides
    return importlib.import_module("torchdistill.losses.mid_level")


def commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() or "unknown"
