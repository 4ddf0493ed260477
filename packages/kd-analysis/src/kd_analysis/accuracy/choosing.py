"""What choosing on the test images flatters: the best test accuracy beside that of what held-out images choose."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kd_hpc.triage.run_directory import Identity, Run


@dataclass(frozen=True)
class Flattery:
    """Percentage points by which a method's accuracy would be too high, on average over `runs`.

    `epoch`: if the test images chose each run's epoch; `alpha`: if they chose its alpha, too, NaN where there is one.
    """

    dataset: str
    method: str
    runs: int
    epoch: float
    alpha: float


def flattery(runs: Iterable[Run]) -> list[Flattery]:
    """For each data set and method with runs that held images out, in the order of their names."""
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if _is_validated(run):
            found[run.identity.dataset, run.identity.method].append(run)
    return [
        Flattery(dataset, method, len(those), fmean(map(_of_epoch, those)), _of_alpha(those))
        for (dataset, method), those in sorted(found.items())
    ]


def _is_validated(run: Run) -> bool:
    held_out, test = run.curves.validation_acc, run.curves.test_acc
    return bool(test) and len(held_out) == len(test) and all(map(math.isfinite, (*held_out, *test)))


def _of_epoch(run: Run) -> float:
    return max(run.curves.test_acc) - _chosen(run)


def _of_alpha(runs: Sequence[Run]) -> float:
    """Of each seed: the best of all alphas and epochs on the test images, less that of what held-out images choose."""
    seeds: Mapping[Identity, list[Run]] = _by_seed(runs)
    several = [those for those in seeds.values() if len(those) > 1]
    found = [max(max(run.curves.test_acc) for run in those) - _chosen(max(those, key=_held_out)) for those in several]
    return fmean(found) if found else math.nan


def _by_seed(runs: Sequence[Run]) -> dict[Identity, list[Run]]:
    found: dict[Identity, list[Run]] = defaultdict(list)
    for run in runs:
        found[_without_alpha(run.identity)].append(run)
    return found


def _without_alpha(identity: Identity) -> Identity:
    return Identity(identity.dataset, identity.method, None, identity.teacher, identity.student, identity.seed)


def _held_out(run: Run) -> float:
    return max(run.curves.validation_acc)


def _chosen(run: Run) -> float:
    """Test accuracy of the epoch that the held-out images choose."""
    return run.curves.test_acc[run.curves.validation_acc.index(_held_out(run))]
