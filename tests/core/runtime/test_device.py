"""A GPU its torch has no kernels for is refused before training, with the torch to install."""

from __future__ import annotations

import pytest
import torch

from kd_core.runtime import device
from kd_core.runtime.device import choose_device, choose_dtype
from kd_hpc.errors import DeviceError

V100, H200 = ("Tesla V100-SXM2-16GB", (7, 0)), ("NVIDIA H200", (9, 0))
TORCH_2_6 = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"
TORCH_2_10 = "sm_70 sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
TORCH_2_11 = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120"


@pytest.mark.parametrize(
    ("gpu", "flags"),
    [
        (V100, TORCH_2_6),
        (V100, TORCH_2_10),
        (V100, "compute_60"),  # PTX of an older GPU is compiled when the program starts
        (V100, "sm_80 compute_70"),
        (H200, TORCH_2_6),
        (H200, TORCH_2_11),
        (H200, "sm_90a"),
        (("NVIDIA L40S", (8, 9)), "sm_80 sm_90"),  # kernels of 8.0 run on 8.9
        (("NVIDIA B200", (10, 0)), TORCH_2_10),
        (("a GPU to come", (13, 0)), TORCH_2_11),
    ],
)
def test_a_gpu_with_kernels_is_taken(gpu: tuple[str, tuple[int, int]], flags: str) -> None:
    device._require_kernels(gpu[1], gpu[0], flags)


@pytest.mark.parametrize(
    ("gpu", "flags", "remedy"),
    [
        (V100, TORCH_2_11, "Install torch <= 2.10"),
        (V100, "sm_75", "Install torch <= 2.10"),  # same major version, but of a later GPU
        (V100, "sm_60", "Install torch <= 2.10"),  # an earlier major version's kernels do not run
        (V100, "compute_75", "Install torch <= 2.10"),
        (V100, "", "Install torch <= 2.10"),
        (V100, None, "Install torch <= 2.10"),  # a torch built without CUDA
        (("Tesla P100-PCIE-16GB", (6, 0)), TORCH_2_10, "Install torch <= 2.7"),
        (H200, "sm_80 sm_86", "Install a torch that lists this GPU"),
        (("NVIDIA B200", (10, 0)), TORCH_2_6, "Install a torch that lists this GPU"),
    ],
)
def test_a_gpu_without_kernels_is_refused_with_the_torch_to_install(
    gpu: tuple[str, tuple[int, int]], flags: str | None, remedy: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        device._require_kernels(gpu[1], gpu[0], flags)
    assert gpu[0] in caught.value.what
    assert f"sm_{gpu[1][0]}{gpu[1][1]}" in caught.value.what
    assert caught.value.remedy.startswith(remedy)


def pretend(monkeypatch: pytest.MonkeyPatch, gpu: tuple[str, tuple[int, int]], flags: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: gpu[0])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu[1])
    monkeypatch.setattr(torch._C, "_cuda_getArchFlags", lambda: flags)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_kernels_are_looked_at_whether_the_gpu_was_asked_for_or_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, V100, TORCH_2_10)
    assert choose_device(name) == torch.device("cuda")
    pretend(monkeypatch, V100, TORCH_2_11)
    with pytest.raises(DeviceError, match=r"no kernels for Tesla V100.*Install torch <= 2\.10"):
        choose_device(name)
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match=r"No GPU is visible.*--device cpu"):
        choose_device("cuda")


def test_this_torch_answers_for_its_kernels_without_a_gpu() -> None:
    assert isinstance(torch._C._cuda_getArchFlags(), str | None)


@pytest.mark.parametrize(
    ("name", "where", "capability", "expected"),
    [
        ("auto", "cpu", None, torch.float32),
        ("auto", "cuda", (7, 0), torch.float16),  # a V100 has no bfloat16
        ("auto", "cuda", (7, 5), torch.float16),
        ("auto", "cuda", (8, 0), torch.bfloat16),
        ("auto", "cuda", (9, 0), torch.bfloat16),
        ("float32", "cuda", (9, 0), torch.float32),
        ("float16", "cuda", (9, 0), torch.float16),
        ("bfloat16", "cpu", None, torch.bfloat16),
    ],
)
def test_the_dtype_is_what_was_asked_for_or_what_the_gpu_has(
    name: str,
    where: str,
    capability: tuple[int, int] | None,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert choose_dtype(name, torch.device(where)) == expected
