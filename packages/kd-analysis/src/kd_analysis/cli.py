"""The command line of kd-analysis: registers one small module a command, and turns errors into sentences."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from kd_analysis.commands import plots, report, triage
from kd_hpc.errors import KdError

app = typer.Typer(
    name="kd-analysis",
    help="Read finished distillation runs on a laptop: triage, statistics, geometry, figures, one report.",
    epilog="Example: kd-analysis report experiments -o report",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("report")(report.report)
app.command("triage")(triage.triage)
app.command("plots")(plots.plots)

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
        _end("Interrupted; files already written are whole.", "", 130, None)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:
        what = f"Unexpected {type(error).__name__}: {error}"
        _end(what, "Run it again with kd-analysis --debug ... and report the traceback.", 1, error)
    raise SystemExit(0)


def _end(what: str, remedy: str, code: int, error: BaseException | None) -> NoReturn:
    if _settings["debug"] and error is not None:
        raise error
    print(f"kd-analysis: {what}", file=sys.stderr)
    if remedy:
        print(remedy, file=sys.stderr)
    raise SystemExit(code)
