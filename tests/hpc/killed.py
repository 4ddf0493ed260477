"""A program for tests: runs a kd-hpc command in folder after folder, killed (SIGKILL) before its first, second, ...
change of the file system, then lets the same command finish; prints what each folder holds in the end, as JSON.

    killed.py TEMPLATE WORK ELSEWHERE WORD ...

TEMPLATE is copied for each kill. With ELSEWHERE not "-", experiments is a link to a folder there.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.mkdir", "os.link", "os.remove", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    template, work, elsewhere, *words = sys.argv[1:]
    for module in ("kd_hpc.archiving.archive", "kd_hpc.cli"):  # once, before the forks
        importlib.import_module(module)

    ended: list[dict[str, Any]] = []
    number = 0
    while True:
        number += 1
        folder = Path(work, str(number))
        shutil.copytree(template, folder, symlinks=True)
        if elsewhere != "-":
            away = Path(elsewhere, str(number))
            shutil.move(folder / "experiments", away)
            (folder / "experiments").symlink_to(away)
        first = in_child(lambda: run(folder, words, kill_before=number))  # noqa: B023
        if first == -signal.SIGKILL:
            second = in_child(lambda: run(folder, words, kill_before=0))  # noqa: B023
        ended.append({"first": first, "second": second if first else None, "tree": snapshot(folder)})
        if elsewhere != "-":
            ended[-1]["away"] = {p.name: snapshot(p) for p in Path(elsewhere).glob(f"{number}*")}
        if first != -signal.SIGKILL:
            break
    print(json.dumps(ended))


def in_child(body: Callable[[], None]) -> int:
    """The exit status of `body` in a process of its own; negative for a signal."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        try:
            body()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(99)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(folder: Path, words: list[str], *, kill_before: int) -> None:
    from kd_hpc.cli import main as kd_hpc

    os.chdir(folder)
    sys.argv = ["kd-hpc", *words]
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            seen += 1
            if seen == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    kd_hpc()


def snapshot(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file; links and folders say that they are some."""
    found = {}
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(directory, name)
            kind = "link" if path.is_symlink() else "folder" if path.is_dir() else ""
            found[str(path.relative_to(root))] = kind or hashlib.sha256(path.read_bytes()).hexdigest()
    return found


if __name__ == "__main__":
    main()
