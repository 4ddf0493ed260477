"""Seeds that agree exactly: what the report says instead of an interval of width 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kd_analysis.accuracy.cells import Cell
from kd_analysis.accuracy.names import show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Text
from kd_analysis.stats.intervals import all_equal

NO_INTERVAL = "A dash stands where there is no interval: for one value, and for several that agree exactly."
MOST_NAMED = 8


def starred(tied: Iterable[bool]) -> str:
    """What a caption adds where a figure stars its n."""
    return " * These seeds agree exactly: no interval." if any(tied) else ""


def ties_note(analysis: Analysis) -> Iterator[Text]:
    """One paragraph a data set: where its seeds agree, and what that does not mean."""
    found: dict[str, list[str]] = {}
    for (dataset, model), values in analysis.last.pure.items():
        if all_equal(list(values.values())):
            found.setdefault(dataset, []).append(f"pure {model} (accuracy)")
    for cell in analysis.last.cells:
        if what := _tied(cell):
            found.setdefault(cell.setting.dataset, []).append(f"{cell.method} {show_alpha(cell.alpha)} ({what})")
    for dataset, names in found.items():
        yield Text(f"{dataset}: all seeds agree exactly in {_listed(names)}. {_meaning(analysis, dataset)}", "limits")


def _tied(cell: Cell) -> str:
    differences = cell.comparison is not None and cell.comparison.tied
    both = {"accuracy": cell.interval.tied, "difference to pure": differences}
    return " and ".join(name for name, tied in both.items() if tied)


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _meaning(analysis: Analysis, dataset: str) -> str:
    facts = next((item.run.dataset_facts for item in analysis.tree.runs if item.run.identity.dataset == dataset), None)
    grain = ""
    if facts:
        grain = f", whose {facts.test_items:,} items give steps of {100 / facts.test_items:.2g} points,"
    return (
        f"The test set{grain} cannot tell these seeds apart; that is no proof that they do not differ, so neither an "
        "interval nor a number of seeds needed is claimed."
    )
