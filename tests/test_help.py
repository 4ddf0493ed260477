"""Help on a terminal of 80 columns: no line wider, no sentence cut, every command in it in one piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

COMMAND = re.compile(r"(?:kd-hpc|kd-core|kd-analysis) [a-z]+[^\n;]*")


def programs() -> Iterator[tuple[str, Any]]:
    from kd_analysis.cli import app as analysis
    from kd_core.cli import app as core
    from kd_hpc.cli import app as hpc

    for app in (hpc, core, analysis):
        yield from walk(get_command(app), str(app.info.name))


def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """A program, its groups and its commands."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{words} {name}")


PROGRAMS = dict(programs())


def help_of(words: str) -> str:
    command = PROGRAMS[words]
    context = command.make_context(words, [], resilient_parsing=True, terminal_width=80, max_content_width=80)
    return str(command.get_help(context))


@pytest.mark.parametrize("words", PROGRAMS)
def test_no_line_is_wider_than_a_terminal(words: str) -> None:
    assert [line for line in help_of(words).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", [words for words, command in PROGRAMS.items() if hasattr(command, "commands")])
def test_what_a_command_does_is_said_in_a_whole_sentence(words: str) -> None:
    listed = help_of(words).partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(PROGRAMS[words].commands)
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("words", PROGRAMS)
def test_every_command_in_it_can_be_copied_whole(words: str) -> None:
    command = PROGRAMS[words]
    source = f"{command.help or ''}\n{command.epilog or ''}"
    shown = help_of(words)
    for typed in COMMAND.findall(source):
        assert typed.rstrip(".") in shown, typed
