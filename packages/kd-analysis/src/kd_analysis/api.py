"""For notebooks and scripts: `load` gives the tidy table of runs, `analyse` everything that a report says, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from kd_analysis.analysis import Analysis
    from kd_analysis.report.document import Table
    from kd_hpc.campaign import Campaign

SomePath = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Results:
    """What a report says, without pages and pictures: `analysis` as objects, and every table as a frame.

    `runs` is what `load` gives; rows of the others are those of the report's CSV of that name.
    """

    analysis: Analysis
    runs: pd.DataFrame

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Every table of the report by name, figures' data included."""
        from kd_analysis.report.build import build_document

        document = build_document(self.analysis)
        tables = {figure.name: figure.data for figure in document.figures}
        return tables | {table.name: table for table in document.tables}

    def table(self, name: str) -> pd.DataFrame:
        """One of them as a frame; no rows where a tree has nothing of its kind. Raises UsageError."""
        import pandas as pd

        from kd_analysis.report.contracts import CONTRACTS
        from kd_hpc.errors import UsageError
        from kd_hpc.screen.near import did_you_mean

        if name in self.tables:
            found = self.tables[name]
            return pd.DataFrame(list(found.rows), columns=[column.name for column in found.columns])
        if name in CONTRACTS:
            return pd.DataFrame(columns=list(CONTRACTS[name]))
        hint = did_you_mean(name, self.tables)
        raise UsageError(f"There is no table {name!r} here.", remedy=hint or f"There are: {', '.join(self.tables)}.")

    @property
    def simultaneous(self) -> pd.DataFrame:
        """Every cell against the reference, intervals of a data set at once."""
        return self.table("simultaneous")

    @property
    def trends(self) -> pd.DataFrame:
        """Slopes of accuracy over alpha."""
        return self.table("trends")

    @property
    def geometry(self) -> pd.DataFrame:
        """Every measure of every run's representations."""
        return self.table("geometry")

    @property
    def asymmetry(self) -> pd.DataFrame:
        """Agreement with the teacher where it is right, and where it is wrong."""
        return self.table("asymmetry")


def load(path: SomePath, campaign: SomePath | None = None) -> pd.DataFrame:
    """One row a run under `path`, flagged and unfinished ones too; `schema` says what its columns are.

    `attrs["schema_version"]` is raised when a column changes its meaning or goes. With a campaign file, runs of another
    recipe than it says are flagged. Raises UsageError if `path` is no folder, CampaignError.
    """
    from kd_analysis.analysis import read_and_judge
    from kd_analysis.reading.runs_table import frame

    return frame(read_and_judge(Path(path), _plan(campaign), _cache(None), 1)[0])


def analyse(
    path: SomePath, campaign: SomePath | None = None, *, workers: int = 1, cache: SomePath | None = None
) -> Results:
    """Everything a report says of the runs under `path`; geometry is kept in `cache`, by default the user's.

    More than one worker needs a script whose main part is guarded (`if __name__ == "__main__"`). Raises as `load`.
    """
    from kd_analysis.analysis import analyse as compute
    from kd_analysis.reading.runs_table import frame

    found = compute(Path(path), _plan(campaign), _cache(cache), workers)
    return Results(found, frame(found.tree))


def schema() -> dict[str, Any]:
    """The JSON schema of the table of runs as a list of objects, each column with what it means."""
    from kd_analysis.reading.runs_schema import runs_schema

    return runs_schema()


def _plan(campaign: SomePath | None) -> Campaign | None:
    from kd_hpc.campaign import load_campaign

    return load_campaign(Path(campaign)) if campaign else None


def _cache(root: SomePath | None) -> Any:
    from kd_analysis.representations.cache import Cache, default_root

    return Cache((Path(root) if root else default_root()) / "geometry")
