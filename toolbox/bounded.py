"""What chpc_train.sh takes from nobody else, since macOS has neither timeout nor flock.

bounded.py lock DESCRIPTOR           lock an open file for as long as anybody has it open; 75 if somebody else has
bounded.py run SECONDS COMMAND...    run it for at most so long: its exit status, 124 if it was ended
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from types import FrameType

HELD, TOO_LATE, CANNOT_RUN, NOT_FOUND = 75, 124, 126, 127
GRACE_SECONDS = 10
"""Between the request to end and the end."""


def lock(descriptor: str) -> int:
    try:
        fcntl.flock(int(descriptor), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return HELD
    return 0


def run(seconds: str, *command: str) -> int:
    """In a group of its own, so that its children end with it; in a terminal's, so that Ctrl-C reaches it."""
    group = None if sys.stderr.isatty() else 0
    try:
        process = subprocess.Popen(command, close_fds=False, process_group=group)
    except FileNotFoundError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_RUN
    _pass_on_signals(process)
    try:
        status = process.wait(float(seconds))
    except subprocess.TimeoutExpired:
        _end(process, group)
        return TOO_LATE
    return status if status >= 0 else 128 - status


def _pass_on_signals(process: subprocess.Popen[bytes]) -> None:
    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, pass_on)


def _end(process: subprocess.Popen[bytes], group: int | None) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if group is None:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    sys.exit(lock(*words) if verb == "lock" else run(*words))
