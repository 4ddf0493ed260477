"""The GPU's memory was full."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short

GPU_MEMORY = Cause("gpu_memory")

_FULL = re.compile(
    r"^.*(?:CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|OutOfMemoryError|HIP out of memory).*$",
    re.MULTILINE,
)


def witness(case: Case) -> Finding | None:
    if not (line := case.last(_FULL)):
        return None
    mending = "Lower students_per_job, or ask for a GPU with more memory, or one that nobody shares"
    return Finding(GPU_MEMORY, f"the GPU's memory is full: {short(line[0])}", case.after(mending))
