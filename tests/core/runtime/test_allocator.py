"""Freed memory is kept: what a step allocates again needs no new pages."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ctypes, resource, sys
from kd_core.runtime.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc here")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, MIB = [ctypes.c_void_p], 2**20
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [libc.malloc(MIB) for _ in range(64)]
        for block in blocks:
            ctypes.memset(block, 1, MIB)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again_without_a_page_fault() -> None:
    assert page_faults("keep") < 100
    assert page_faults("default") > 10_000
