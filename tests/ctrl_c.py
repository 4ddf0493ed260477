"""Ctrl-C as a person presses it: once, and again only where nothing came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

PATIENCE = 15.0
ENDS_WITHIN = 900.0


def press_ctrl_c(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What the leader of a process group still said. CPython does not hear a signal just before it waits."""
    deadline = time.monotonic() + ENDS_WITHIN
    while True:
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                process.kill()
                raise
