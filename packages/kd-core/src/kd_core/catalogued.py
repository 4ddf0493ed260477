"""One file a thing: what the catalogue names, found in the file of its name, or in the package that adds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from kd_hpc.errors import UsageError
from kd_hpc.installed import PAGE, Names

Thing = TypeVar("Thing")


class Catalogued(Mapping[str, Thing]):
    """The things called `names`, each the `attribute` of the module in `folder` that bears its name.

    The module's name is in small letters, with _ for -.

    A module is imported when its thing is asked for, so a file half written breaks nothing but itself. Asking raises
    KeyError for a name that is not in the catalogue, UsageError for one whose file or package is missing, cannot be
    used, or does not hold what `is_one` says it must, in words `needs`.
    """

    def __init__(
        self,
        kind: str,
        names: Names[Any],
        folder: str,
        attribute: str,
        needs: str,
        is_one: Callable[[object], bool],
    ) -> None:
        self._kind, self._names, self._folder, self._attribute = kind, names, folder, attribute
        self._needs, self._is_one = needs, is_one

    def __getitem__(self, name: str) -> Thing:
        if name not in self._names:
            raise KeyError(name)
        where, module, attribute = self._added(name) if self._names.code(name) else self._own(name)
        thing = self._load(where, module, attribute)
        if not self._is_one(thing):
            raise UsageError(f"{where} cannot be used: {attribute} is no {self._needs}.", remedy=f"See {PAGE}.")
        called = getattr(thing, "name", name)
        if called != name:
            raise UsageError(f"{where} holds {called!r}, not {name!r}.", remedy=f'Write name = "{name}" there.')
        return thing

    def _own(self, name: str) -> tuple[str, str, str]:
        """The file, module and attribute of one of ours."""
        file = Path(__file__).parent / self._folder / f"{name.lower().replace('-', '_')}.py"
        if not file.is_file():
            raise UsageError(f"{self._kind} {name} is in the catalogue, but {file} is missing.", remedy=f"See {PAGE}.")
        return str(file), f"kd_core.{self._folder.replace('/', '.')}.{file.stem}", self._attribute

    def _added(self, name: str) -> tuple[str, str, str]:
        """The same of one that an installed package adds."""
        code = self._names.code(name)
        module, _, attribute = code.partition(":")
        return f"{code} of {self._names.package(name)}", module, attribute

    def _load(self, where: str, module: str, attribute: str) -> Thing:
        try:
            thing: Thing = getattr(import_module(module), attribute)
        except Exception as error:  # whatever an unfinished file does
            raise UsageError(
                f"{where} cannot be used: {type(error).__name__}: {error}.",
                remedy=f"It must set {attribute}, see {PAGE}; with --debug you see the line.",
            ) from error
        return thing

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
