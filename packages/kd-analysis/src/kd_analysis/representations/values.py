"""The tidy list of every number of the geometry."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from kd_analysis.reading.runs_table import Tree
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.compute import File, Item, Numbers, Progress, Subject, compute, items_against, pictures
from kd_analysis.representations.files import RunFiles
from kd_analysis.representations.measures import OUTPUTS, SINGLE
from kd_analysis.representations.npz import LAYERS
from kd_analysis.representations.pairs import (
    PICTURE,
    SINGLE_RUN,
    RepresentationPair,
    pairs_of,
    pictured,
    quarantined,
    with_files,
)
from kd_hpc.triage.run_directory import Identity


@dataclass(frozen=True)
class GeometryValue:
    """One number: a named quantity of a run's layer, for pairs against `reference`'s `other_layer`; layers are empty
    for what is of the network as a whole, `epoch` is None for the last."""

    identity: Identity
    relation: str
    reference: Identity | None
    layer: str
    other_layer: str
    name: str
    value: float
    epoch: int | None = None


def measure_tree(
    tree: Tree, files: Mapping[str, RunFiles], cache: Cache, workers: int, progress: Progress
) -> tuple[list[GeometryValue], int]:
    """Every number of every usable representation, in a fixed order, and how many had to be computed."""
    runs = {**with_files(tree, files), **quarantined(tree, files)}
    pairs = pairs_of(tree, files)
    drawn = {files[runs[identity].path].last: teacher for identity, (_, teacher) in pictured(tree, files).items()}
    subjects = _subjects([files[run.path].last for run in runs.values()], pairs, drawn)
    numbers = compute(subjects, cache, workers, progress)
    by_subject: dict[Identity, list[RepresentationPair]] = defaultdict(list)
    for pair in pairs:
        by_subject[pair.subject].append(pair)
    usable = sorted(runs, key=lambda identity: runs[identity].path)
    values: list[GeometryValue] = []
    for identity in usable:
        values += _of_run(identity, files[runs[identity].path].last, numbers)
        values += [value for pair in by_subject[identity] for value in _of_pair(pair, numbers)]
    for identity, (teacher, file) in pictured(tree, files).items():
        values += _of_picture(identity, teacher, files[runs[identity].path].last, file, numbers)
    return values, numbers.computed


def _of_picture(
    identity: Identity, teacher: Identity, file: File, reference: File, numbers: Numbers
) -> Iterator[GeometryValue]:
    for item in pictures(reference):
        for name, value in numbers.of(file, item).items():
            yield GeometryValue(identity, PICTURE, teacher, item.layer, item.other_layer, name, _float(value))


def _subjects(whole: Iterable[File], pairs: Iterable[RepresentationPair], drawn: Mapping[File, File]) -> list[Subject]:
    """One for each file that is a subject of anything; those of whole runs are measured by themselves, too."""
    references: dict[File, dict[object, None]] = {file: {} for file in whole}
    alone = set(references)
    for pair in pairs:
        references.setdefault(pair.file, {})[pair.compared] = None
    return [
        Subject(file, file in alone, tuple(found), drawn.get(file))  # type: ignore[arg-type]
        for file, found in references.items()
    ]


def _of_run(identity: Identity, file: File, numbers: Numbers) -> Iterator[GeometryValue]:
    items = [Item(measure.name, layer) for measure, layer in product(SINGLE, LAYERS)]
    for item in (*items, *(Item(measure.name) for measure in OUTPUTS)):
        for name, value in numbers.of(file, item).items():
            yield GeometryValue(identity, SINGLE_RUN, None, item.layer, "", name, _float(value))


def _of_pair(pair: RepresentationPair, numbers: Numbers) -> Iterator[GeometryValue]:
    for item in items_against(pair.compared):
        for name, value in numbers.of(pair.file, item).items():
            yield GeometryValue(
                pair.subject,
                pair.relation,
                pair.reference,
                item.layer,
                item.other_layer,
                name,
                _float(value),
                pair.epoch,
            )


def _float(value: float | None) -> float:
    return math.nan if value is None else value
