"""Means of geometry over runs, for tables: by layer and network, with the number behind every mean."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kd_analysis.accuracy.cells import Setting
from kd_analysis.accuracy.names import network_order
from kd_analysis.report.document import Column, Table, slug, table
from kd_analysis.representations.pairs import SINGLE_RUN, TEACHERS
from kd_analysis.representations.quantities import SERIES, Quantity
from kd_analysis.representations.transfer import known, per_seed
from kd_analysis.representations.values import GeometryValue
from kd_hpc.triage.run_directory import Identity

Found = Mapping[tuple[str, str], Sequence[float]]
NONE = "No usable representations.npz of a student and its teacher in this tree."
POOLED = (
    "Representations are spatial averages of each layer's maps: where in the image a network looks, which attention "
    "transfer matches, is not in them. Data sets with more than 10,000 test items are cut to a fixed, class-stratified "
    "10,000. Means and intervals are over seeds: that the items are a sample, too, is not in them."
)


def key(setting: Setting) -> str:
    """The setting in a file name."""
    return f"{slug(setting.dataset)}_{slug(setting.pair)}"


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def by_alpha(
    values: Iterable[GeometryValue], name: str, relation: str
) -> dict[str, dict[tuple[str, float | None], list[float]]]:
    """Values by layer, and by (method, alpha); plain students under their arm's name."""
    found: dict[str, dict[tuple[str, float | None], list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        if value.name == name and value.relation == relation and known(value):
            found[value.layer][value.identity.method, value.identity.alpha].append(value.value)
    return {layer: dict(cells) for layer, cells in sorted(found.items())}


def network_table(
    setting: Setting,
    values: Sequence[GeometryValue],
    shown: Sequence[Quantity],
    stem: str,
    caption: str,
    relations: Mapping[str, str] | None = None,
) -> Table:
    """One row a layer and network, a column a quantity with its own n beside it in the CSV; `relations` by the words
    that go before the network's name."""
    rows = []
    for words, relation in (relations or {"": SINGLE_RUN}).items():
        found = [_means(values, each.name, relation) for each in shown]
        places = {at for each in found for at in each}
        for layer, network in sorted(places, key=lambda at: (at[0], network_order(at[1]))):
            each = [numbers.get((layer, network), ()) for numbers in found]
            rows.append((layer, words + network, max(map(len, each)), *map(mean, each), *map(len, each)))
    rows.sort(key=lambda row: str(row[0]))
    columns: list[Column | str] = ["layer", Column("network", kind="method"), "n"]
    columns += [Column(each.name, each.digits, label=each.label) for each in shown]
    columns += [Column(f"n_{each.name}", beside=True) for each in shown]
    return table(f"{stem}_{key(setting)}", f"{caption}, {setting.name}", columns, rows)


def _means(values: Sequence[GeometryValue], name: str, relation: str) -> Found:
    """Seeds' means over alphas; of two teachers each pair is one value."""
    if relation != TEACHERS:
        return per_seed(values, name, relation)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for value in values:
        if value.name == name and value.relation == relation and known(value):
            found[value.layer, value.identity.student].append(value.value)
    return found


def undefined(values: Iterable[GeometryValue]) -> dict[tuple[str, str], list[Identity]]:
    """By measure and layer, the networks that have no such number; series are left out."""
    found: dict[tuple[str, str], dict[Identity, None]] = defaultdict(dict)
    for value in values:
        if not known(value) and not value.name.startswith(SERIES):
            found[value.name, value.layer][value.identity] = None
    return {at: list(identities) for at, identities in sorted(found.items())}
