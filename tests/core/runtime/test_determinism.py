"""Determinism asks for the same bits and nothing else."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import torch
from kd_core.runtime.determinism import make_deterministic
make_deterministic()
print(torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory)
"""


def test_deterministic_algorithms_are_on_and_new_memory_is_not_filled_for_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
