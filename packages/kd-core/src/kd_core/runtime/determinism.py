"""Everything random, drawn from named seeds; everything computed, the same way each time."""

from __future__ import annotations

import hashlib
import os

import torch
import torch.utils.deterministic


def seed_of(*parts: str | int) -> int:
    """A 63-bit seed that depends on every part: streams with different names never overlap by accident."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*parts: str | int) -> torch.Generator:
    """A CPU generator for one purpose. On the CPU whatever the training device, so that all devices draw the same."""
    return torch.Generator().manual_seed(seed_of(*parts))


def make_deterministic() -> None:
    """Ask torch for the same bits each time, at the price of some speed; float32 means float32.

    The debug-mode call sets what `use_deterministic_algorithms(True)` sets, without importing the compiler stack,
    which costs every process 3 to 4 seconds.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error")
    # Deterministic mode also fills every new tensor with NaN, to show who reads what nobody wrote: a fifth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
