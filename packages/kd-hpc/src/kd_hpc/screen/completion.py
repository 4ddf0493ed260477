"""Completion of commands, options, names and runs for bash and zsh: a script that asks no program at each Tab. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kd_hpc.catalogue import DATASETS, METHODS, MODELS, SCHEDULERS
from kd_hpc.records import State

SHELLS = ("bash", "zsh")
VALUES: Mapping[str, tuple[str, ...]] = {
    "--state": (*State, "unreadable"),
    "--dataset": tuple(DATASETS),
    "--method": tuple(METHODS),
    "--model": tuple(MODELS),
    "--teacher": tuple(MODELS),
    "--student": tuple(MODELS),
    "--scheduler": SCHEDULERS,
    "--device": ("auto", "cpu", "cuda"),
    "--weights": ("best", "last"),
}
"""What an option is completed with; any other that wants a value, with files."""
_OF_RUNS = {"run", "runs", "which"}
"""Arguments that mean runs."""

_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
"""
_SCRIPT = """\
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command={program} folder=experiments options= words= runs= i found
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$command ${{COMP_WORDS[i]}}" in
            {commands}) command="$command ${{COMP_WORDS[i]}}" ;;
            *" --experiments") folder=${{COMP_WORDS[i + 1]}} ;;
        esac
    done
    case "$command ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{values}
    esac
    case "$command" in
{listed}
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
        *) [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    esac
    [ -n "$runs" ] && [ "${{word#-}}" = "$word" ] || return 0
    for found in "$folder/$word"*/; do
        [ ! -d "$found" ] || COMPREPLY+=("${{found#"$folder"/}}")
    done
    [ "${{#COMPREPLY[@]}}" -eq 0 ] || compopt -o nospace 2>/dev/null || true
}}
complete -o default -F {function} {program}
"""


def script(shell: str, program: str, command: Any) -> str:
    """What `shell` reads so that Tab completes `program`, whose commands are those of the click group `command`."""
    tree = dict(_walk(command, program))
    inner = [path for path in tree if path != program]
    text = _SCRIPT.format(
        function=f"_{program.replace('-', '_')}",
        program=program,
        commands=" | ".join(f'"{path}"' for path in inner),
        values="\n".join(_values(tree)),
        listed="\n".join(_listed(path, found) for path, found in tree.items()),
    )
    return _ZSH + text if shell == "zsh" else text


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The program, its groups and its commands, each as it is typed."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, f"{path} {name}")


def _values(tree: Mapping[str, Any]) -> Iterator[str]:
    """The cases of words that stand behind an option which wants a value."""
    wanting = {
        name for command in tree.values() for option in _options(command) if not option.is_flag for name in option.opts
    }
    for name in sorted(wanting & VALUES.keys()):
        yield f'        *" {name}") COMPREPLY=($(compgen -W "{" ".join(VALUES[name])}" -- "$word")); return 0 ;;'
    if others := sorted(wanting - VALUES.keys()):
        cases = " | ".join(f'*" {name}"' for name in others)
        yield f"        {cases}) return 0 ;;"


def _listed(path: str, command: Any) -> str:
    """The case of one command: its options, its commands, and whether it is about runs."""
    options = [name for option in _options(command) for name in (*option.opts, *option.secondary_opts)]
    runs = any(parameter.name in _OF_RUNS for parameter in command.params if parameter.param_type_name == "argument")
    commands = " ".join(getattr(command, "commands", {}))
    lists = f'options="{" ".join([*options, "--help"])}" words="{commands}" runs={"yes" if runs else ""}'
    return f'        "{path}") {lists} ;;'


def _options(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]
