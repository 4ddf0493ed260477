"""One file a thing: what the catalogue names, found in the file of its name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from kd_hpc.errors import UsageError

PAGE = "docs/guide/a-campaign-of-your-own.md"
Thing = TypeVar("Thing")


class Catalogued(Mapping[str, Thing]):
    """The things called `names`, each the `attribute` of the module in `folder` that bears its name in small letters.

    A module is imported when its thing is asked for, so a file half written breaks nothing but itself. Asking raises
    KeyError for a name that is not in the catalogue, UsageError for one whose file is missing or cannot be used.
    """

    def __init__(self, kind: str, names: Collection[str], folder: str, attribute: str) -> None:
        self._kind, self._names, self._folder, self._attribute = kind, names, folder, attribute

    def __getitem__(self, name: str) -> Thing:
        if name not in self._names:
            raise KeyError(name)
        file = Path(__file__).parent / self._folder / f"{name.lower()}.py"
        if not file.is_file():
            raise UsageError(f"{self._kind} {name} is in the catalogue, but {file} is missing.", remedy=f"See {PAGE}.")
        thing = self._load(file)
        called = getattr(thing, "name", name)
        if called != name:
            raise UsageError(f"{file} holds {called!r}, not {name!r}.", remedy=f'Write name = "{name}" there.')
        return thing

    def _load(self, file: Path) -> Thing:
        module = f"kd_core.{self._folder.replace('/', '.')}.{file.stem}"
        try:
            thing: Thing = getattr(import_module(module), self._attribute)
        except Exception as error:  # whatever an unfinished file does
            raise UsageError(
                f"{file} cannot be used: {type(error).__name__}: {error}.",
                remedy=f"It must set {self._attribute}, see {PAGE}; with --debug you see the line.",
            ) from error
        return thing

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
