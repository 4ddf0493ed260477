"""A fault of the node's GPU or its driver: the node is to blame, whatever lines follow it in the log.

Sources: the error strings of the CUDA runtime (cudaGetErrorString, CUDA 13.2); NVIDIA's catalogue of Xid errors and the
driver's nverror.h, which names them.
Left out of both is what a program can bring about itself: illegal addresses and instructions, failed launches, page
faults (Xid 13, 31, 43, 45), memory that is full; and what is no fault, such as a row remapped in time (Xid 63).
"""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Finding, short
from kd_hpc.diagnosis.causes.node import NODE

_BROKEN = (
    r"uncorrectable ECC error encountered|ECC_UNCORRECTABLE|ECCUncorrectable",
    r"uncorrectable NVLink error|NVLINK_UNCORRECTABLE|NvlinkUncorrectable",
    r"hardware stack error|HARDWARE_STACK_ERROR|HardwareStackError",
    r"Invalid access of peer GPU memory over nvlink or a hardware error|cudaErrorContained",
    r"CUDA-capable device\(s\) is/are busy or unavailable|DEVICE_UNAVAILABLE|DevicesUnavailable",
    r"no CUDA-capable device is detected|CUDA_ERROR_NO_DEVICE|cudaErrorNoDevice|No CUDA GPUs are available",
    r"system not yet initialized|SYSTEM_NOT_READY|SystemNotReady",
    r"system has unsupported display driver / cuda driver combination|SYSTEM_DRIVER_MISMATCH|SystemDriverMismatch",
    r"CUDA driver is a stub library|STUB_LIBRARY|StubLibrary",
    r"CUDA (?:driver )?initialization(?: error|: CUDA unknown error)|CUDA unknown error",
    r"CUDA error: (?:unknown error|initialization error)|cudaErrorInitializationError|CUDA_ERROR_NOT_INITIALIZED",
    r"MPS (?:client failed to connect|server is not ready)|MPS_(?:CONNECTION_FAILED|RPC_FAILURE|SERVER_NOT_READY)",
    r"an async error has occured in external entity outside of CUDA",
    r"GPU (?:has fallen off the bus|is lost)|GPU_IS_LOST|NVML_ERROR_(?:GPU_IS_LOST|RESET_REQUIRED)",
    r"Unable to determine the device handle for (?:GPU|gpu)",
    r"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
    r"Failed to initialize NVML: (?:Driver/library version mismatch|Unknown Error|GPU access blocked)",
    r"Found no NVIDIA driver on your system",
    r"RmInitAdapter failed",
)
_XIDS = frozenset((48, 54, 57, 58, 59, 62, 64, 74, 79, 80, 81, 90, 94, 95, 110, 119, 120, 136, 140, 143, 154))
_XIDS |= frozenset(range(144, 151))
"""Memory, power, micro-controllers, bus, links, firmware, initialisation: what only the node's owner can mend."""
_LINE = re.compile(rf"^.*(?:{'|'.join(_BROKEN)}).*$", re.MULTILINE)
_XID_LINE = re.compile(r"^.*\bXid\b(?: \([^)]*\))?[ :]*(\d+).*$", re.MULTILINE)
_ONLY_WARNED = re.compile(r"\w*Warning: ")


def witness(case: Case) -> Finding | None:
    """The first line of that kind: those that follow are what came of it."""
    told = [match for match in _LINE.finditer(case.text) if not _ONLY_WARNED.search(match[0])]
    told += [match for match in _XID_LINE.finditer(case.text) if int(match[1]) in _XIDS]
    if not told:
        return None
    first = min(told, key=lambda match: match.start())[0]
    where = f" of {case.gone.host}" if case.gone.host else ""
    remedy = f"{case.goes_on} If it goes on, write to the cluster's support and name the node."
    return Finding(NODE, f"the GPU{where} failed: {short(first)}", remedy)
