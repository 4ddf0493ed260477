"""Our programs without their loading: a server has imported them and forks for each start that a small client asks for.

What a program does, prints and exits with is what it always is. A test of how a program is loaded, of signals or of
what a child inherits beside its streams starts the installed one.
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from tests.paths import BIN, ROOT
from tests.shared import once, session

PACKAGES = {"kd-hpc": "kd_hpc", "kd-core": "kd_core", "kd-analysis": "kd_analysis"}
to_start = {name: str(BIN / name) for name in PACKAGES}
"""What starts each program: the installed one, or a client while a server for it is at work."""
LARGEST_MESSAGE = 1_000_000
CLIENT = """\
#!{python} -IS
import os, sys, _socket
if "PYTHONPATH" in os.environ:  # other modules than those that are loaded
    os.execv({installed!r}, [{installed!r}, *sys.argv[1:]])
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.connect({address!r})
words = [{program!r}, os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:]]
words += [f"{{name}}={{value}}" for name, value in os.environ.items()]
message = "\\0".join(words).encode(errors="surrogateescape")
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
server.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
status = server.recv(4)
sys.exit(int.from_bytes(status, "big") if status else 1)
"""


@contextmanager
def programs(shared: Path, *names: str) -> Iterator[Path]:
    """A folder for the PATH with our programs, those called `names` without their loading; until it is left.

    To these it is the environment they are installed in: what one starts of the others is started from there, jobs too.
    One server, in the folder that the workers share, is at work for all of them and ends with the session.
    """
    initials = "".join(name.removeprefix("kd-")[0] for name in names)  # the address of a server must be short
    bin_folder = once(shared / f"warm-{initials}", lambda folder: _make(folder, names)) / "bin"
    before = {name: to_start[name] for name in names}
    to_start.update({name: str(bin_folder / name) for name in names})
    yield bin_folder
    to_start.update(before)


def _make(folder: Path, names: tuple[str, ...]) -> None:
    """The programs in `folder`/bin, and their server at work."""
    address, bin_folder = folder / "server", folder / "bin"
    bin_folder.mkdir(parents=True)
    for name in PACKAGES.keys() - set(names):
        (bin_folder / name).symlink_to(BIN / name)
    for name in names:
        installed = str(BIN / name)
        _executable(
            bin_folder / name,
            CLIENT.format(python=sys.executable, installed=installed, address=str(address), program=name),
        )
    (bin_folder / "activate").touch()
    _executable(bin_folder / "python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", address, bin_folder, str(session()), *names],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    with server.stdout as answer:
        assert answer.read(1) == b"."
    server.returncode = 0  # nobody waits for it: it may outlive this worker


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _load(names: list[str]) -> None:
    """Import each program with what its commands import when they are called."""
    for name in names:
        (source,) = ROOT.glob(f"packages/*/src/{PACKAGES[name]}")
        for path in sorted(source.rglob("*.py")):
            module = ".".join(path.relative_to(source.parent).with_suffix("").parts)
            if not module.endswith(("__init__", "__main__")):
                import_module(module)
    gc.freeze()


def _serve(address: str, session: int) -> str:
    """Fork for every client until that process ends; returns in each new process, as the program it is to be."""
    over = os.pidfd_open(session)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        os.write(1, b".")
        while over not in select.select([listener.fileno(), over], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.close(over)
                return _answer(connection)
            connection.close()
            _reap()
    raise SystemExit


def _reap() -> None:
    """Those who have answered."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(connection: socket.socket) -> str:
    """Start a process as the client describes it, and tell the client how it ended."""
    message, streams, _, _ = socket.recv_fds(connection, LARGEST_MESSAGE, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        _put_through(streams)
        return _become(os.fsdecode(message).split("\0"))
    for stream in (0, 1, *streams):
        os.close(stream)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, connection.fileno()], [], [])[0]:  # the client was ended
        os.kill(child, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        connection.send((status if status >= 0 else 128 - status).to_bytes(4, "big"))
    finally:
        os._exit(0)


def _put_through(streams: list[int]) -> None:
    """Make the client's streams this process's own."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _become(words: list[str]) -> str:
    """Take over the client's folder, arguments and environment; the program's name."""
    program, folder, count, *rest = words
    os.chdir(folder)
    sys.argv = [str(BIN / program), *rest[: int(count)]]
    os.environ.clear()
    os.environ.update((name, value) for name, _, value in (word.partition("=") for word in rest[int(count) :]))
    time.tzset()
    main = sys.modules["__main__"]
    main.__file__, main.__package__, main.__spec__ = sys.argv[0], None, None
    return program


def _run(main: Callable[[], object]) -> None:
    """End as the interpreter does, but let no module be taken apart: that costs more than most commands."""
    try:
        main()
    except SystemExit as end:
        with suppress(OSError):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            if isinstance(end.code, int):
                os._exit(end.code)
        raise


if __name__ == "__main__":
    place, environment, session_id, *asked = sys.argv[1:]
    sys.path.remove(str(ROOT))
    _load(asked)
    sys.executable = str(Path(environment, "python"))
    _run(import_module(f"{PACKAGES[_serve(place, int(session_id))]}.cli").main)
