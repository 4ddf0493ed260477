"""Run directories -> one tree of triaged runs, and ONE tidy table of it: a row a run, nothing dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_analysis.reading.run_columns import RUN_COLUMNS, Kind
from kd_analysis.reading.runs_schema import RUNS_SCHEMA_VERSION
from kd_hpc.campaign import Campaign
from kd_hpc.triage.checks import Finding
from kd_hpc.triage.find_runs import Stray
from kd_hpc.triage.run_directory import Identity, Run, identity_of, read_tree
from kd_hpc.triage.verdict import Triaged, triage_runs

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tree:
    """An experiments folder as read and judged. `expected` are the runs a campaign plans, if one was named."""

    root: Path
    runs: tuple[Triaged, ...]
    strays: tuple[Stray, ...]
    expected: tuple[Identity, ...] = ()

    @cached_property
    def by_identity(self) -> dict[Identity, Triaged]:
        """Runs by what they are; of duplicates the first, which is flagged anyway."""
        return {item.run.identity: item for item in reversed(self.runs)}

    @cached_property
    def usable(self) -> dict[Identity, Triaged]:
        """The runs whose accuracy may enter statistics."""
        return {identity: item for identity, item in self.by_identity.items() if item.usable}

    @property
    def counted(self) -> int:
        """Usable runs, of those planned if a campaign was named."""
        return len(self.usable.keys() & set(self.expected)) if self.expected else len(self.usable)

    @property
    def unplanned(self) -> int:
        """Runs that are here although the campaign does not plan them; they are shown and counted all the same."""
        return len(self.by_identity.keys() - set(self.expected)) if self.expected else 0

    @property
    def planned(self) -> int:
        """How many runs there should be: the campaign's, or else those that are here."""
        return len(self.expected) or len(self.runs)


def collect(root: Path, campaign: Campaign | None = None, more: Mapping[str, list[Finding]] | None = None) -> Tree:
    """Read and judge everything under `root`. Raises UsageError if it is no folder."""
    runs, strays = read_tree(root)
    return judge(root, runs, strays, campaign, more)


def judge(
    root: Path,
    runs: list[Run],
    strays: list[Stray],
    campaign: Campaign | None = None,
    more: Mapping[str, list[Finding]] | None = None,
) -> Tree:
    """`collect` for runs already read, with findings by path that needed heavier reading."""
    planned = _planned(campaign) if campaign else {}
    judged = triage_runs(runs, more, planned)
    return Tree(root, tuple(judged), tuple(strays), tuple(planned))


def _planned(campaign: Campaign) -> dict[Identity, Mapping[str, Any]]:
    """Each run of the campaign with the recipe that is its own."""
    recipes: dict[str, Mapping[str, Any]] = {}
    for run in campaign.experiments():
        if run.arm not in recipes:
            recipes[run.arm] = campaign.recipe_for(run).model_dump(mode="json")
    return {identity_of(run): recipes[run.arm] for run in campaign.experiments()}


def frame(tree: Tree) -> pd.DataFrame:
    """The tidy table; accuracies in percent, times in seconds, missing values empty.

    `seconds` are of the clock; where students share a job they are of all of them, and `device_seconds` is one's share.
    """
    import pandas as pd

    rows = [[column.of(tree, item) for column in RUN_COLUMNS] for item in tree.runs]
    table = pd.DataFrame(rows, columns=[column.name for column in RUN_COLUMNS], dtype="object")
    table = table.astype({column.name: _DTYPES[column.kind] for column in RUN_COLUMNS})
    table.attrs["schema_version"] = RUNS_SCHEMA_VERSION
    return table


def plain_rows(tree: Tree) -> list[list[Any]]:
    """The same as plain values, None where one is missing: a report needs not wait for pandas."""
    return [[_plain(column.of(tree, item), column.kind) for column in RUN_COLUMNS] for item in tree.runs]


def _plain(value: Any, kind: Kind) -> Any:
    if value is None or value != value:
        return None
    return _TYPES[kind](value) if kind in _TYPES else value


_TYPES: dict[Kind, Callable[[Any], Any]] = {"integer": int, "number": float, "boolean": bool}
_DTYPES = {"string": "object", "integer": "Int64", "number": "float64", "boolean": "boolean"}
