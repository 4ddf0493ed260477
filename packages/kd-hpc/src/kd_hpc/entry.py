"""How each of the three command lines starts and ends: expected failures become one message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from kd_hpc.errors import KdError

INTERRUPTED = 130


def run(program: str, app: Callable[[], object]) -> NoReturn:
    """Run `app` and exit: 0, or the failure's own code with its message on stderr.

    `--debug` anywhere on the line, or KD_DEBUG in the environment, lets the traceback through.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get("KD_DEBUG"))
    sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        app()
    except KdError as error:
        if debug:
            raise
        _end(f"{program}: {error}", error.exit_code)
    except KeyboardInterrupt:
        _end(f"{program}: interrupted; the same command goes on from here.", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end("", 0)
    except Exception as error:
        if debug:
            raise
        _end(f"{program}: unexpected {type(error).__name__}: {error} Run it again with --debug to see where.", 1)
    raise SystemExit(0)


def _end(message: str, code: int) -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    raise SystemExit(code)
