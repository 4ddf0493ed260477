"""What chpc_train.sh takes from nobody else, since macOS has neither timeout nor flock.

bounded.py lock DESCRIPTOR           lock an open file for as long as anybody has it open; 75 if somebody else has
bounded.py run SECONDS COMMAND...    run it for at most so long: its exit status, 124 if it was ended
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
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
    in_a_terminal = sys.stderr.isatty()
    try:
        process = _start(command, in_a_terminal)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
    _pass_on_signals(process)
    status = _ended(process, float(seconds))
    if status is None:
        _end(process, os.kill if in_a_terminal else os.killpg)
        return TOO_LATE
    return status if status >= 0 else 128 - status


def _start(command: tuple[str, ...], in_a_terminal: bool) -> int:
    """Its pid. A round starts some ten of these, and importing `subprocess` would double what one costs."""
    usual = [signal.SIGPIPE, signal.SIGXFSZ]  # which Python itself ignores
    if in_a_terminal:
        return os.posix_spawnp(command[0], command, os.environ, setsigdef=usual)
    return os.posix_spawnp(command[0], command, os.environ, setsigdef=usual, setpgroup=0)


def _pass_on_signals(process: int) -> None:
    def pass_on(number: int, frame: FrameType | None) -> None:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            return

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, pass_on)


def _end(process: int, send: Callable[[int, int], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            send(process, number)
            if _ended(process, GRACE_SECONDS) is not None:
                return
        except (ProcessLookupError, ChildProcessError):  # it ended at the last moment
            return


class _TooLate(Exception):
    """The time is over."""


def _ended(process: int, seconds: float) -> int | None:
    """Its exit status, negative for a signal; None if it does not end within `seconds`."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise _TooLate

    signal.signal(signal.SIGALRM, give_up)
    status = None
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would be no limit at all
        status = os.waitpid(process, 0)[1]
        signal.setitimer(signal.ITIMER_REAL, 0)
    except _TooLate:  # even after the wait has ended: nothing may escape from here
        pass
    return None if status is None else os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    sys.exit(lock(*words) if verb == "lock" else run(*words))
