"""Computing geometry: which numbers are missing from the cache, and a pool of single-threaded processes for those."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from kd_analysis.representations.cache import Cache, Entry
from kd_analysis.representations.measures import CROSS, LOGITS, PAIR, SINGLE, Measure, Prepared
from kd_analysis.representations.npz import LAYERS, inspect, load

VERSION = "1"
SMALL = 20_000_000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class File:
    """A representations file, named by its content."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Subject:
    """A file with the files it is compared with; `full` ones get every measure, the others the light ones."""

    file: File
    full: tuple[File, ...] = ()
    light: tuple[File, ...] = ()

    @property
    def references(self) -> tuple[tuple[File, bool], ...]:
        return tuple((file, True) for file in self.full) + tuple((file, False) for file in self.light)


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


MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*SINGLE, *PAIR, *CROSS, *LOGITS)}


def items_of(subject: Subject) -> Iterator[Item]:
    """Everything that is to be known of a subject."""
    yield from (Item(measure.name, layer) for measure in SINGLE for layer in LAYERS)
    for reference, full in subject.references:
        yield from pair_items(reference, full=full)


def pair_items(reference: File, *, full: bool) -> Iterator[Item]:
    """Everything that is to be known of a subject against one reference."""
    for measure in PAIR:
        if full or measure.everywhere:
            yield from (Item(measure.name, layer, reference, layer) for layer in LAYERS)
    for measure in CROSS if full else ():
        yield from (Item(measure.name, *pair) for pair in _crossed(reference))
    yield from (Item(measure.name, "", reference) for measure in LOGITS)


def _crossed(reference: File) -> Iterator[tuple[str, File, str]]:
    return ((layer, reference, other) for layer, other in product(LAYERS, LAYERS))


def compute(
    subjects: Sequence[Subject], cache: Cache, workers: int, progress: Progress = lambda done, of: None
) -> Numbers:
    """All numbers of all subjects, the missing ones computed by `workers` processes with one BLAS thread each."""
    numbers, tasks = Numbers(), []
    for subject in subjects:
        wanted = list(items_of(subject))
        known = {item.key: entry for item in wanted if (entry := cache.get(subject.file.digest, item.key)) is not None}
        numbers.entries.setdefault(subject.file.digest, {}).update(known)
        if missing := tuple(item for item in wanted if item.key not in known):
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
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for future in as_completed([pool.submit(work, task) for task in tasks]):
                yield future.result()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def _one_thread() -> Any:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1)


@lru_cache(maxsize=8)  # a subject and the teachers of all its seeds
def _prepared(path: Path, digest: str) -> Prepared:
    return Prepared(load(path))


def _inspect(task: Task) -> tuple[str, dict[str, Any]]:
    return task.file.digest, vars(inspect(task.file.path))


def _work(task: Task) -> tuple[str, dict[str, Any]]:
    return task.file.digest, {item.key: _number(task.file, item) for item in task.items}


def _number(file: File, item: Item) -> Entry:
    measure, subject = MEASURES[item.measure], _prepared(file.path, file.digest)
    if item.reference is None:
        return _plain(measure.compute(subject.layers[item.layer]))
    reference = _prepared(item.reference.path, item.reference.digest)
    if not item.layer:
        return _plain(measure.compute(subject, reference))
    return _plain(measure.compute(subject.layers[item.layer], reference.layers[item.other_layer]))


def _plain(numbers: Mapping[str, float]) -> Entry:
    """Numbers that JSON can hold: what is not finite becomes None."""
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
