"""The command line of kd-hpc: registers one small module a command, and turns errors into sentences."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from kd_hpc.commands import queue, status
from kd_hpc.errors import KdError

app = typer.Typer(
    name="kd-hpc",
    help="Bring a campaign of training runs onto this machine or a cluster: each run exactly once, none lost, all "
    "explained.",
    epilog="Example: kd-hpc queue campaigns/digits.toml --watch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("queue")(queue.queue)
app.command("status")(status.status)

_settings = {"debug": False}


@app.callback()
def _common(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    _settings["debug"] = debug


def main() -> NoReturn:
    """Run the command line; every expected failure ends in one sentence on stderr and its own exit code."""
    try:
        app()
    except KdError as error:
        _end(error.what, error.remedy, error.exit_code, error)
    except KeyboardInterrupt:
        _end("Interrupted; the same command goes on from here.", "", 130, None)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:
        what = f"Unexpected {type(error).__name__}: {error}"
        _end(what, "Run it again with kd-hpc --debug ... and report the traceback.", 1, error)
    raise SystemExit(0)


def _end(what: str, remedy: str, code: int, error: BaseException | None) -> NoReturn:
    if _settings["debug"] and error is not None:
        raise error
    print(f"kd-hpc: {what}", file=sys.stderr)
    if remedy:
        print(remedy, file=sys.stderr)
    raise SystemExit(code)
