"""How each of the three command lines looks, starts and ends: expected failures become one message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from kd_hpc.errors import KdError
from kd_hpc.screen.escapes import guard_streams

INTERRUPTED = 130


def command_line(name: str, text: str, epilog: str) -> typer.Typer:
    """A program without commands yet; `name` is also its distribution's, whose version `--version` prints."""
    app = typer.Typer(
        name=name,
        help=text,
        epilog=epilog,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # drawing help with rich takes longer than all of kd-hpc
    )

    app.callback()(_options)
    return app


def offer_completion(app: typer.Typer) -> None:
    """Add the command that helps a shell to complete `app`'s others."""
    app.command("completion", help=_COMPLETION.format(program=app.info.name))(_completion)


_COMPLETION = """\
    Print what bash or zsh reads to complete with Tab.

    Now: source <({program} completion bash)

    Always: that line in ~/.bashrc, or in ~/.zshrc with zsh. Commands, options, names and runs are completed.
    """


def _completion(context: typer.Context, shell: Annotated[str, typer.Argument(help="bash or zsh.")] = "bash") -> None:
    from kd_hpc.errors import UsageError
    from kd_hpc.screen.completion import SHELLS, script

    if shell not in SHELLS:
        raise UsageError(f"{shell} cannot be helped.", remedy=f"Name one of these: {', '.join(SHELLS)}.")
    program = context.find_root().command
    typer.echo(script(shell, str(program.name), program), nl=False)


def _print_version(context: typer.Context, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        name = str(context.command.name)
        typer.echo(f"{name} {version(name)}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(program: str, app: Callable[[], object]) -> NoReturn:
    """Run `app` and exit: 0, or the failure's own code with its message on stderr.

    `--debug` anywhere on the line, or KD_DEBUG in the environment, lets the traceback through.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get("KD_DEBUG"))
    sys.argv = [word for word in sys.argv if word != "--debug"]
    guard_streams()
    try:
        app()
    except KdError as error:
        if debug:
            raise
        _end(f"{program}: {error}", error.exit_code)
    except KeyboardInterrupt:
        _end(_interrupted(program), INTERRUPTED)
    except SystemExit as end:
        if _was_interrupted(end):
            _end(_interrupted(program), INTERRUPTED)
        if isinstance(end.__context__, typer.Abort):
            _end(f"{program}: ended at a question; nothing was changed, and the same command asks again.", 1)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end("", 0)
    except Exception as error:
        if debug:
            raise
        _end(f"{program}: unexpected {type(error).__name__}: {error} Run it again with --debug to see where.", 1)
    raise SystemExit(0)


def _was_interrupted(end: SystemExit) -> bool:
    """True if Ctrl-C ended the program without a word: the command line's own library turns it into an exit."""
    return end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt)


def _interrupted(program: str) -> str:
    return f"\n{program}: interrupted. Nothing is lost: the same command goes on from here."


def _end(message: str, code: int) -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    raise SystemExit(code)
