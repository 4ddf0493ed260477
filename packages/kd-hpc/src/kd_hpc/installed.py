"""What other installed packages add to the catalogue, found by their entry points.

An entry point leads to a small object of facts, which every program reads, on a login node without torch, too; the
object says where the code is, which kd-core alone imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kd_hpc.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PAGE = "docs/guide/a-campaign-of-your-own.md"
Fact = TypeVar("Fact")


class Added(Protocol):
    """What an entry point leads to."""

    @property
    def code(self) -> str:
        """Where the thing itself is, as "package.module:NAME"."""
        ...


class Names(Mapping[str, Fact], Generic[Fact]):
    """Facts by name: the catalogue's own lines, then those that installed packages add under the entry points `group`.

    Packages are looked through only where a name is not among the lines, or where all are listed. Asking for a name
    raises UsageError where the package that adds it is broken; no other name suffers.
    """

    def __init__(self, group: str, kind: type[Any], fact: Callable[[Any], Fact]) -> None:
        """`kind` is the class of what an entry point leads to, `fact` the fact in it."""
        self.group, self._kind, self._fact = group, kind, fact
        self.own: dict[str, Fact] = {}

    def __or__(self, lines: dict[str, Fact]) -> Names[Fact]:
        """The same with lines of the catalogue's own."""
        names = Names(self.group, self._kind, self._fact)
        names.own = lines
        return names

    def __getitem__(self, name: str) -> Fact:
        return self.own[name] if name in self.own else self._fact(self._added(name))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in entry_points(self.group)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in entry_points(self.group) if name not in self.own)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def code(self, name: str) -> str:
        """Where the thing called `name` is, as "package.module:NAME"; empty for one of the catalogue's own."""
        return "" if name in self.own else str(self._added(name).code)

    def package(self, name: str) -> str:
        """The package that adds `name`, and its version; empty for one of the catalogue's own."""
        found = [] if name in self.own else entry_points(self.group).get(name, [])
        return package_of(found[0]) if found else ""

    def _added(self, name: str) -> Added:
        found = entry_points(self.group)[name]
        if len({entry.value for entry in found}) > 1:
            several = " and ".join(sorted(map(package_of, found)))
            raise UsageError(f"{name} is added by {several}.", remedy="Uninstall all but one of them.")
        where = f"{self.group} {name} = {found[0].value} of {package_of(found[0])}"
        try:
            added = found[0].load()
        except Exception as error:  # whatever is wrong with somebody's package
            raise UsageError(
                f"{where} cannot be read: {type(error).__name__}: {error}.", remedy=f"Mend that package, see {PAGE}."
            ) from error
        if not isinstance(added, self._kind):
            raise UsageError(f"{where} is no {self._kind.__name__}.", remedy=f"Mend that package, see {PAGE}.")
        thing: Added = added
        return thing


@cache
def entry_points(group: str) -> Mapping[str, list[EntryPoint]]:
    """Those of installed packages by name, in the order of names."""
    from importlib.metadata import entry_points

    by_name: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        by_name.setdefault(entry.name, []).append(entry)
    return by_name


def package_of(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
