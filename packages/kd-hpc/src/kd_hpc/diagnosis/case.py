"""What a cause of death is, and what a witness of one is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from kd_hpc.schedulers.base import Gone, KillLine
from kd_hpc.schedulers.registry import kill_line


@dataclass(frozen=True)
class Cause:
    """`name` is what records and JSON say.

    `is_charged`: a death of it counts against the run, if no epoch was gained. `blames_node`: against the node instead.
    `is_outside`: the job did not end by itself, as far as anybody can tell; so may a cancelled one look.
    """

    name: str
    is_charged: bool = True
    blames_node: bool = False
    is_outside: bool = False


@dataclass(frozen=True)
class Finding:
    """`next_memory`: the size to ask for, after a memory kill."""

    cause: Cause
    detail: str
    remedy: str
    next_memory: str | None = None


@dataclass(frozen=True)
class Case:
    """One dead job: the scheduler's word, its stderr and stdout, epochs gained, memory asked for, the run's name.

    `folder_problem`: why its output folder cannot be written; empty if it can.
    """

    gone: Gone
    stderr: str
    stdout: str = ""
    gained: int = 0
    memory: str | None = None
    run: str = "RUN"
    folder_problem: str = ""

    @cached_property
    def text(self) -> str:
        """Its last words: stderr, or stdout where the two were joined; without the prefixes of many ranks."""
        spoken = self.stderr if re.search(r"^(?!== kd job ).*\S", self.stderr, re.MULTILINE) else self.stdout
        return _RANK.sub("", spoken.replace("\r", "\n"))

    @cached_property
    def kill_line(self) -> KillLine | None:
        return kill_line(self.text)

    @property
    def has_failed(self) -> bool:
        """True if the job's own exit status says so."""
        return 0 < (self.gone.exit_status or 0) < 128

    @property
    def official(self) -> str:
        """The scheduler's word, to be quoted."""
        status = "" if self.gone.exit_status is None else f"exit status {self.gone.exit_status}"
        return "; ".join(filter(None, (status, self.gone.comment))) or self.gone.evidence

    @property
    def goes_on(self) -> str:
        return "Nothing to do: the next kd-hpc queue continues it."

    def after(self, mending: str) -> str:
        return f"{mending}, then: kd-hpc retry {self.run}"

    def last(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The last match of `pattern` in its last words."""
        return max(pattern.finditer(self.text), key=lambda match: match.start(), default=None)


_RANK = re.compile(
    r"^(?:\[(?:rank)?\d+\]: ?|\[\d+,\d+\]<std\w+>: ?|\d+: (?=Traceback| |\w+(?:Error|Exception)\b))", re.MULTILINE
)
"""How torchrun, mpirun and srun mark who speaks."""


def short(text: str, limit: int = 240) -> str:
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
