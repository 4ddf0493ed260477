"""What each job of a campaign asks for: the table [resources]."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from kd_hpc.recipe import Strict

PLACEHOLDER = "YOUR-PROJECT-CODE"
OTHER_NAMES = {"partition": "queue", "account": "project"}
"""What Slurm calls them."""
_MEMORY = re.compile(r"[1-9][0-9]{0,6}(mb|gb)")
_WALLTIME = re.compile(r"[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/._+@:=-]*")
_DIRECTIVE = re.compile(r"--?[A-Za-z][A-Za-z-]*(?:[= ][A-Za-z0-9/._+@:=,-]+)?")


class Resources(Strict):
    """What each job asks for, in the scheduler's own spelling of sizes and times."""

    walltime: str = "02:00:00"
    cores: int = Field(1, ge=1)
    memory: str = "4gb"
    max_memory: str | None = None
    """Up to here a job killed for memory is queued again with the next size; without it, only proposed."""
    gpus: int = Field(0, ge=0)
    gpu_type: str | None = None
    queue: str | None = None
    project: str | None = None
    modules: tuple[str, ...] = ()
    venv: str | None = None
    data: str = "data"
    directives: tuple[str, ...] = ()
    """More options for the scheduler's submit command, one each, such as "--qos=long" or "-W group_list=physics"."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for other, name in OTHER_NAMES.items():
            if other in given and name in given:
                raise ValueError(f"{other} and {name} are two names of one thing: keep one")
        return plain_names(given)

    @field_validator("walltime")
    @classmethod
    def _walltime(cls, value: str) -> str:
        if not _WALLTIME.fullmatch(value):
            raise ValueError(f"{value!r} is not HH:MM:SS")
        return value

    @field_validator("memory", "max_memory")
    @classmethod
    def _memory(cls, value: str | None) -> str | None:
        if value is not None and not _MEMORY.fullmatch(value):
            raise ValueError(f"{value!r} is not a size such as 16gb or 800mb")
        return value

    @field_validator("queue", "project", "venv", "data", "gpu_type", "modules")
    @classmethod
    def _shell_safe(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for word in (value,) if isinstance(value, str) else value or ():
            if not _SHELL_SAFE.fullmatch(word):
                raise ValueError(
                    f"{word!r} could change the meaning of a job script; use letters, digits and / . _ + @ : = -"
                )
        return value

    @field_validator("directives")
    @classmethod
    def _directive(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _DIRECTIVE.fullmatch(value):
                raise ValueError(
                    f"{value!r} is not one option such as --qos=long; use letters, digits and / . _ + @ : = , - in it"
                )
        return values

    @property
    def walltime_seconds(self) -> int:
        hours, minutes, seconds = map(int, self.walltime.split(":"))
        return 3600 * hours + 60 * minutes + seconds


def plain_names(resources: dict[str, Any]) -> dict[str, Any]:
    """`resources` under the names that both schedulers understand."""
    return {OTHER_NAMES.get(key, key): value for key, value in resources.items()}
