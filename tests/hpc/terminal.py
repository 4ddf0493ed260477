"""A program at a terminal of its own: what is typed, and what it shows. Never waited for without an end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

SECONDS = 600.0
PATIENCE = 5.0
_SEQUENCE = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]|\x07")


class Terminal:
    """`command` at work in `place`; ended with the block. Colours are left away unless it `keeps_colours`."""

    def __init__(
        self,
        command: Sequence[str],
        place: Path,
        *,
        keeps_colours: bool = False,
        columns: int | None = None,
        lines: int = 24,
    ) -> None:
        self._ours, theirs = pty.openpty()
        if columns:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._unwanted = re.compile(r"\x07") if keeps_colours else _SEQUENCE
        terminal = "xterm" if keeps_colours else "dumb"
        environment = {**os.environ, "TERM": terminal, "HOME": str(place), "ZDOTDIR": str(place)}
        self._process = subprocess.Popen(
            command,
            cwd=place,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.screen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        os.close(self._ours)

    def type(self, text: str) -> None:
        self.screen = ""
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str) -> str:
        """What was shown since something was typed, once `pattern` is in it."""
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.screen):
            assert time.monotonic() < deadline, f"{pattern!r} did not come: {self.screen!r}"
            assert self._read(), f"it ended without {pattern!r}: {self.screen!r}"
        return self.screen

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C, exit status, and what is shown after it. Pressed again where nothing follows, as a person would:
        CPython does not hear a signal between the prompt and the read that waits for the answer.
        """
        self.type("\x03")
        for _ in range(int(SECONDS / PATIENCE)):
            shown = self.screen
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                if not self._read():
                    return self._process.wait(SECONDS), self.screen
            if self.screen.removeprefix("^C") == shown.removeprefix("^C"):
                os.write(self._ours, b"\x03")
        raise AssertionError(f"Ctrl-C did not end it: {self.screen!r}")

    def end(self) -> tuple[int, str]:
        """Exit status, and the rest of what is shown."""
        deadline = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < deadline, f"it did not end: {self.screen!r}"
        return self._process.wait(SECONDS), self.screen

    def _read(self) -> bool:
        """Take what has been shown, within a second; False if the program has ended."""
        if select.select([self._ours], [], [], 1)[0]:
            try:
                self.screen += self._unwanted.sub("", os.read(self._ours, 4096).decode(errors="replace"))
            except OSError:
                return False
        return True
