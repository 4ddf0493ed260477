"""Which device and which arithmetic; everything that would make a run fail later is refused here, in one sentence."""

from __future__ import annotations

import re
from typing import TypeVar

import torch
from torch import nn

from kd_hpc.catalogue import last_torch_for
from kd_hpc.errors import DeviceError

Module = TypeVar("Module", bound=nn.Module)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """The device called "cpu", "cuda" or "auto" (a usable GPU if there is one). Raises DeviceError."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            "No GPU is visible to torch here.",
            remedy="Ask the scheduler for one (gpus = 1 in the campaign), or add --device cpu.",
        )
    _require_kernels(torch.cuda.get_device_capability(), torch.cuda.get_device_name(), torch._C._cuda_getArchFlags())
    return torch.device("cuda")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the forward passes; "auto" is float32 on a CPU, bfloat16 where the GPU has it, else float16."""
    if name != "auto":
        return DTYPES[name]
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16


def place(module: Module, device: torch.device) -> Module:
    """`module` on `device`, its convolutions in the memory layout they are fastest in."""
    return module.to(device).to(memory_format=torch.channels_last)


def _require_kernels(capability: tuple[int, int], gpu: str, flags: str | None) -> None:
    """Raise DeviceError unless a torch built with `flags`, such as "sm_70 sm_80 compute_90", runs on the GPU.

    A binary kernel runs on GPUs of its own major version and the same or a later minor one; `compute_` code is
    compiled for any later GPU when the program starts.
    """
    kinds = re.findall(r"(sm|compute)_(\d+)(\d)", flags or "")
    built = [(kind, (int(major), int(minor))) for kind, major, minor in kinds]
    runs = any(version <= capability and (kind == "compute" or version[0] == capability[0]) for kind, version in built)
    if not runs:
        last = last_torch_for(gpu)
        remedy = f"Install torch <= {last[0]}.{last[1]} there." if last else "Install a torch that lists this GPU."
        raise DeviceError(
            f"torch {torch.__version__} has no kernels for {gpu} (sm_{capability[0]}{capability[1]}), only {flags}.",
            remedy=remedy,
        )
