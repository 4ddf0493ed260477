"""Computing geometry: which numbers are missing from the cache, and a pool of single-threaded processes for those."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from kd_analysis.processes import in_processes
from kd_analysis.representations.cache import Cache, Entry
from kd_analysis.representations.layers import Prepared
from kd_analysis.representations.measures import ANSWERS, CROSS, OUTPUTS, PAIR, PICTURES, SINGLE, Measure, Reach
from kd_analysis.representations.npz import LAYERS, inspect, load

VERSION = "1"
SMALL = 20_000_000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class File:
    """A representations file, named by its content; the data set says what coarse labels its items have."""

    path: Path
    digest: str
    dataset: str = ""


@dataclass(frozen=True)
class Reference:
    """A file to compare with, and how far that goes; None: across layers alone."""

    file: File
    reach: Reach | None


@dataclass(frozen=True)
class Subject:
    """A file with what it is compared with; `alone` if it is measured by itself, too; `pictured` is its teacher where
    the two are drawn."""

    file: File
    alone: bool
    references: tuple[Reference, ...] = ()
    pictured: File | None = None


@dataclass(frozen=True)
class Item:
    """One computation: a measure of the subject's `layer`, against `other_layer` of `reference` if it has one."""

    measure: str
    layer: str = ""
    reference: File | None = None
    other_layer: str = ""

    @property
    def key(self) -> str:
        against = f"{self.reference.digest}:{self.other_layer}" if self.reference else ""
        return f"{VERSION}|{self.measure}@{MEASURES[self.measure].version}|{self.layer}|{against}"


@dataclass(frozen=True)
class Task:
    file: File
    items: tuple[Item, ...]


@dataclass
class Numbers:
    """Every number of every subject: digest -> item key -> name -> value, and how many had to be computed."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    computed: int = 0

    def of(self, subject: File, item: Item) -> Entry:
        return self.entries.get(subject.digest, {}).get(item.key, {})


MEASURES: dict[str, Measure] = {
    measure.name: measure for measure in (*SINGLE, *PAIR, *CROSS, *OUTPUTS, *ANSWERS, *PICTURES)
}


def items_of(subject: Subject) -> Iterator[Item]:
    """Everything that is to be known of a subject."""
    if subject.alone:
        yield from (Item(measure.name, layer) for measure in SINGLE for layer in LAYERS)
        yield from (Item(measure.name) for measure in OUTPUTS)
    for reference in subject.references:
        yield from items_against(reference)
    if subject.pictured:
        yield from pictures(subject.pictured)


def pictures(reference: File) -> Iterator[Item]:
    """What is drawn of a subject's last layer and the reference's."""
    return (Item(measure.name, LAYERS[-1], reference, LAYERS[-1]) for measure in PICTURES)


def items_against(reference: Reference) -> Iterator[Item]:
    """Everything that is to be known of a subject against one reference."""
    file, reach = reference.file, reference.reach
    for measure in PAIR:
        if reach is not None and measure.reach >= reach:
            yield from (Item(measure.name, layer, file, layer) for layer in LAYERS)
    if reach in (None, Reach.OWN):
        yield from (Item(measure.name, a, file, b) for measure in CROSS for a, b in product(LAYERS, LAYERS))
    yield from (Item(measure.name, "", file) for measure in ANSWERS if reach is not None and measure.reach >= reach)


def compute(
    subjects: Sequence[Subject], cache: Cache, workers: int, progress: Progress = lambda done, of: None
) -> Numbers:
    """All numbers of all subjects, the missing ones computed by `workers` processes with one BLAS thread each."""
    numbers, tasks = Numbers(), []
    for subject in subjects:
        wanted = {item.key: item for item in items_of(subject)}
        known = {key: entry for key in wanted if (entry := cache.get(subject.file.digest, key)) is not None}
        numbers.entries.setdefault(subject.file.digest, {}).update(known)
        if missing := tuple(item for key, item in wanted.items() if key not in known):
            tasks.append(Task(subject.file, missing))
    for done, (digest, entries) in enumerate(run_all(_work, tasks, workers), start=1):
        numbers.entries[digest].update(entries)
        numbers.computed += len(entries)
        cache.put(digest, entries)
        progress(done, len(tasks))
    return numbers


def inspect_all(
    files: Iterable[File], cache: Cache, workers: int, progress: Progress = lambda done, of: None
) -> dict[str, Entry]:
    """`representations.inspect` of every file, by digest, from the cache where it is known."""
    key = f"{VERSION}|inspect"
    distinct = {file.digest: file for file in files}
    found = {digest: entry for digest in distinct if (entry := cache.get(digest, key)) is not None}
    missing = [Task(file, ()) for digest, file in distinct.items() if digest not in found]
    for done, (digest, entry) in enumerate(run_all(_inspect, missing, workers), start=1):
        found[digest] = entry
        cache.put(digest, {key: entry})
        progress(done, len(missing))
    return found


def run_all(
    work: Callable[[Task], tuple[str, dict[str, Any]]], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Results as they come. Little work stays in this process: starting another costs more than it."""
    if workers < 2 or sum(task.file.path.stat().st_size for task in tasks) < SMALL:
        with _one_thread():
            yield from map(work, tasks)
        return
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield from in_processes(work, tasks, workers, as_they_come=True)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _one_thread() -> Any:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1)


@lru_cache(maxsize=12)  # a subject, the teachers of all its seeds, and students beside it
def _prepared(file: File) -> Prepared:
    return Prepared(load(file.path), file.dataset)


def _inspect(task: Task) -> tuple[str, dict[str, Any]]:
    return task.file.digest, vars(inspect(task.file.path))


def _work(task: Task) -> tuple[str, dict[str, Any]]:
    return task.file.digest, {item.key: _number(task.file, item) for item in task.items}


def _number(file: File, item: Item) -> Entry:
    measure, subject = MEASURES[item.measure], _prepared(file)
    sides: tuple[Any, ...] = (subject,) if item.reference is None else (subject, _prepared(item.reference))
    if item.layer:
        sides = tuple(side.layers[name] for side, name in zip(sides, (item.layer, item.other_layer), strict=False))
    with np.errstate(all="ignore"):  # what is undefined comes out as no number, and is said to be missing
        return _plain(measure.compute(*sides))


def _plain(numbers: Mapping[str, float]) -> Entry:
    """Numbers that JSON can hold: what is not finite becomes None."""
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
