"""A record says where its result comes from: each fact is the machine's own."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

import kd_core
from kd_core.artifacts import provenance as module
from kd_core.artifacts.provenance import code_sha256, provenance
from kd_core.data.images import Dataset, Split

CPU = torch.device("cpu")


def dataset() -> Dataset:
    split = Split(np.zeros((2, 3, 8, 8), np.uint8), np.zeros(2, np.int64))
    return Dataset("Digits", split, split, "f" * 64)


def test_every_fact_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_deterministic_debug_mode", lambda: 0)  # other tests may have set it
    found = provenance(CPU, torch.bfloat16, dataset())
    assert found == {
        "code_version": version("kd-core"),
        "code_sha256": code_sha256(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": None,
        "device": "cpu",
        "gpu": None,
        "machine": platform.machine(),
        "dtype": "bfloat16",
        "threads": torch.get_num_threads(),
        "deterministic": False,
        "data_sha256": "f" * 64,
        "dataset": dataset().facts._asdict(),
    }


def test_a_gpu_is_named_with_the_cuda_that_torch_was_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    found = provenance(torch.device("cuda"), torch.float16, dataset())
    assert (found["device"], found["gpu"], found["cuda"], found["dtype"]) == ("cuda", "Tesla V100", "12.4", "float16")


def test_deterministic_mode_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode, told in ((0, False), (1, True), (2, True)):
        monkeypatch.setattr(torch, "get_deterministic_debug_mode", lambda mode=mode: mode)
        assert provenance(CPU, torch.float32, dataset())["deterministic"] is told


def test_the_hash_of_the_code_is_over_names_and_content_of_every_file() -> None:
    package = Path(kd_core.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert len(files) > 50
    whole = b"".join(f"{file.relative_to(package)}\0".encode() + file.read_bytes() for file in files)
    assert code_sha256() == hashlib.sha256(whole).hexdigest()


def test_another_name_or_another_byte_is_another_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for folder, name, content in (("a", "one.py", b"x"), ("b", "two.py", b"x"), ("c", "one.py", b"y")):
        (tmp_path / folder / "artifacts").mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(content)
        monkeypatch.setattr(module, "__file__", str(tmp_path / folder / "artifacts/provenance.py"))
        found.add(code_sha256())
    assert len(found) == 3
