"""Forks beside the runs they left: when does transfer happen, and does it last?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from kd_analysis.accuracy.names import method_order, ordered, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forks import Departure, forks_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, slug, table
from kd_analysis.stats.intervals import t_interval
from kd_hpc.catalogue import DATASETS, PURE
from kd_hpc.triage.run_directory import Identity, Run
from kd_hpc.variant import arm, split_arm

FORKS = (
    Column("dataset", label="data set"),
    Column("parent", kind="method"),
    Column("parent_alpha", label="its alpha"),
    Column("epoch", label="left after epoch"),
    Column("fork", kind="method"),
    Column("alpha", label="goes on at alpha"),
    "n",
    Column("difference", 2, signed=True, label="fork minus parent (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("networks", beside=True),
)
INTRO = (
    "A fork shares every bit with its parent up to an epoch and goes on otherwise. Fork minus parent of the same seed, "
    "after the last epoch, with 95 % t intervals over seeds: described, not tested. Where a fork that goes on without "
    "the teacher stays where its parent is, transfer had happened by then and lasts; where it falls back to students "
    "that never had a teacher, it does not last."
)


class Kind(NamedTuple):
    """What forks of several seeds have in common: whom they left after which epoch, and how they went on."""

    dataset: str
    pair: str
    parent: str
    parent_alpha: float | None
    epoch: int
    method: str
    alpha: float | None

    @property
    def words(self) -> str:
        return f"{_words(self.parent, self.parent_alpha)}, after {self.epoch} {_words(self.method, self.alpha)}"


@dataclass(frozen=True)
class Fork:
    """A fork of one seed and the run it left."""

    run: Run
    parent: Run
    epoch: int

    @property
    def kind(self) -> Kind:
        at, of = self.run.identity, self.parent.identity
        pair = f"{at.teacher or of.teacher} to {at.student}"
        return Kind(at.dataset, pair, of.method, of.alpha, self.epoch, split_arm(at.method)[0], at.alpha)


def forks_section(analysis: Analysis) -> Section:
    """Every fork whose parent is here."""
    title, found = "Forks: when transfer happens, and whether it lasts", list(forks_of(analysis))
    if not found:
        return Section("forks", title, (Text("No fork and its parent are both finished and sound here."),))
    blocks: list[Block] = [Text(INTRO), _table(found)]
    for dataset in ordered({fork.run.identity.dataset for fork in found}, DATASETS):
        blocks.append(_figure(dataset, [fork for fork in found if fork.run.identity.dataset == dataset]))
    return Section("forks", title, tuple(blocks))


def forks_of(analysis: Analysis) -> Iterator[Fork]:
    """Sound forks with sound parents, in a fixed order."""
    usable = analysis.tree.usable
    for identity in sorted(usable, key=lambda each: usable[each].run.path):
        fork = identity.variant.fork
        if fork is None:
            continue
        teacher = None if fork.method == PURE else identity.teacher
        method = arm(fork.method, fork.variant)
        parent = Identity(identity.dataset, method, fork.alpha, teacher, identity.student, identity.seed)
        if parent in usable:
            yield Fork(usable[identity].run, usable[parent].run, fork.epoch)


def _groups(found: Sequence[Fork]) -> Mapping[Kind, list[Fork]]:
    groups: dict[Kind, list[Fork]] = defaultdict(list)
    for fork in sorted(found, key=lambda each: (method_order(each.kind.parent), str(each.kind))):
        groups[fork.kind].append(fork)
    return groups


def _table(found: Sequence[Fork]) -> Table:
    rows = []
    for kind, forks in _groups(found).items():
        one = t_interval([fork.run.acc_last - fork.parent.acc_last for fork in forks])
        left = (kind.dataset, kind.parent, _alpha(kind.parent_alpha), kind.epoch)
        rows.append((*left, kind.method, _alpha(kind.alpha), one.n, one.estimate, one.low, one.high, kind.pair))
    return table("forks", "Forks against the runs they left", FORKS, rows)


def _figure(dataset: str, found: Sequence[Fork]) -> Figure:
    """Test accuracy of fork and parent over the epochs, a panel a kind of fork."""
    panels = {
        kind.words: [Departure(kind.epoch, fork.parent.curves.test_acc, fork.run.curves.test_acc) for fork in forks]
        for kind, forks in _groups(found).items()
    }
    rows = [
        (fork.kind.pair, fork.kind.words, fork.run.identity.seed, name, epoch, value)
        for fork in found
        for name, run in (("parent", fork.parent), ("fork", fork.run))
        for epoch, value in enumerate(run.curves.test_acc, start=1)
    ]
    where = f"forks_{slug(dataset)}"
    caption = f"Test accuracy of forks (solid, from where they left) and of their parents (dashed), {dataset}."
    data = table(where, caption, ("networks", "fork", "seed", "run", "epoch", "test_acc"), rows)
    return Figure(where, caption, partial(forks_figure, panels), data)


def _words(method: str, alpha: float | None) -> str:
    return f"{show_method(method)} {_alpha(alpha) or ''}".strip()


def _alpha(alpha: float | None) -> str | None:
    return None if alpha is None else show_alpha(alpha)
