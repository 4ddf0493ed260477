"""Freed memory is kept: new tensors of a step need no new pages."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, sys
import torch
from kd_core.allocator import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc here")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        tensors = [torch.ones(400_000) for _ in range(40)]  # 64 MB, more than malloc would keep
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again_without_a_page_fault() -> None:
    assert page_faults("keep") < 1000 < page_faults("default")
