"""Which representations are compared with which, and the tidy list of numbers that comes of it.

A student is compared with its own teacher and, more lightly, with the teachers of the other seeds; so is the pure
student (the floor). Teachers of different seeds are compared with each other (the ceiling).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from kd_analysis.accuracy.cells import Setting
from kd_analysis.reading.runs_table import Tree
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.compute import File, Item, Numbers, Progress, Subject, compute, inspect_all
from kd_analysis.representations.measures import CROSS, LOGITS, PAIR, SINGLE
from kd_analysis.representations.npz import LAYERS
from kd_hpc.catalogue import PURE
from kd_hpc.store import REPRESENTATIONS
from kd_hpc.triage.checks import Finding, Severity
from kd_hpc.triage.run_directory import Identity, Run, file_hash
from kd_hpc.triage.verdict import Verdict

OWN, OTHER, OWN_FLAGGED = "own teacher", "other teacher", "own teacher, quarantined student"
FLOOR, FLOOR_OTHER = "floor", "floor, other teacher"
CEILING, SINGLE_RUN = "ceiling", "itself"
FULL = (OWN, FLOOR, CEILING)
ITEMS_TOLERANCE = 1.5
POINTS_TOLERANCE = 0.25


@dataclass(frozen=True)
class GeometryValue:
    """One number: a named quantity of a run's layer, for pairs against `reference`'s `other_layer`."""

    identity: Identity
    relation: str
    reference: Identity | None
    layer: str
    other_layer: str
    name: str
    value: float


@dataclass(frozen=True)
class RepresentationPair:
    subject: Identity
    reference: Identity
    relation: str


def files_of(runs: Iterable[Run]) -> dict[str, File]:
    """Every representations file by run path, named by its content."""
    paths = {run.path: run.directory / REPRESENTATIONS for run in runs if run.has_representations}
    return {path: File(file, digest) for path, file in paths.items() if (digest := file_hash(file))}


def inspection_findings(
    runs: Iterable[Run], files: Mapping[str, File], cache: Cache, workers: int
) -> dict[str, list[Finding]]:
    """What the files themselves say against their runs: unreadable, other items, another accuracy than recorded."""
    found = inspect_all(files.values(), cache, workers)
    present = {run.path: run for run in runs if run.path in files}
    reports = {path: found[files[path].digest] for path in present}
    usual: dict[str, Counter[str]] = defaultdict(Counter)
    for path, report in reports.items():
        if not report["problem"]:
            usual[present[path].identity.dataset][report["items"]] += 1
    findings: dict[str, list[Finding]] = {}
    for path, report in reports.items():
        majority = usual[present[path].identity.dataset].most_common(1)
        findings[path] = list(_findings(present[path], report, majority[0][0] if majority else ""))
    return findings


def _findings(run: Run, report: Mapping[str, object], majority: str) -> Iterator[Finding]:
    if report["problem"]:
        yield Finding("representations_unusable", Severity.GEOMETRY, f"{REPRESENTATIONS} {report['problem']}")
        return
    if report["items"] != majority:
        evidence = (
            f"its {report['count']} test items differ in number or order from those of most runs of this data set"
        )
        yield Finding("other_items", Severity.GEOMETRY, f"{REPRESENTATIONS}: {evidence}")
    computed, count = float(str(report["accuracy"])), int(str(report["count"]))
    if math.isfinite(run.acc_last) and abs(computed - run.acc_last) > max(
        POINTS_TOLERANCE, 100 * ITEMS_TOLERANCE / count
    ):
        evidence = f"its logits give {computed:.2f} %, the record says {run.acc_last:.2f} %"
        yield Finding("logits_contradict_record", Severity.QUARANTINE, evidence)


def comparisons(tree: Tree, files: Mapping[str, File]) -> list[RepresentationPair]:
    """Every comparison the tree allows among runs whose representations are usable.

    Quarantined students are compared with their own teacher only, to be shown beside the others and never counted.
    """
    usable = _with_files(tree, files)
    found: list[RepresentationPair] = []
    for identity in usable:
        if identity.teacher:
            found += _with_teachers(identity, identity.teacher, usable, OWN, OTHER)
    for setting in sorted({Setting(i.dataset, i.teacher, i.student) for i in usable if i.teacher}):
        found += _references(setting, usable)
    for identity in _quarantined(tree, files):
        if identity.teacher_run in usable:
            found.append(RepresentationPair(identity, identity.teacher_run, OWN_FLAGGED))
    return list(dict.fromkeys(found))


def _references(setting: Setting, usable: Mapping[Identity, Run]) -> Iterator[RepresentationPair]:
    """Floor and ceiling of a setting."""
    for seed in sorted({i.seed for i in usable if i.dataset == setting.dataset}):
        student = Identity(setting.dataset, PURE, None, None, setting.student, seed)
        teacher = Identity(setting.dataset, PURE, None, None, setting.teacher, seed)
        if student in usable and setting.student != setting.teacher:
            yield from _with_teachers(student, setting.teacher, usable, FLOOR, FLOOR_OTHER)
        if teacher in usable:
            others = _teachers(setting.dataset, setting.teacher, usable)
            yield from (RepresentationPair(teacher, other, CEILING) for other in others if other.seed > seed)


def _with_files(tree: Tree, files: Mapping[str, File]) -> dict[Identity, Run]:
    return {i: item.run for i, item in tree.usable.items() if item.usable_geometry and item.run.path in files}


def _quarantined(tree: Tree, files: Mapping[str, File]) -> list[Identity]:
    """Flagged students whose representations themselves are sound."""
    return [
        identity
        for identity, item in tree.by_identity.items()
        if identity.teacher
        and item.verdict == Verdict.FLAGGED
        and item.run.path in files
        and all(finding.severity != Severity.GEOMETRY for finding in item.findings)
    ]


def _with_teachers(
    student: Identity, teacher: str, usable: Mapping[Identity, Run], own: str, other: str
) -> list[RepresentationPair]:
    teachers = _teachers(student.dataset, teacher, usable)
    return [RepresentationPair(student, found, own if found.seed == student.seed else other) for found in teachers]


def _teachers(dataset: str, model: str, usable: Mapping[Identity, Run]) -> list[Identity]:
    found = (i for i in usable if i.is_pure and i.dataset == dataset and i.student == model)
    return sorted(found, key=lambda identity: identity.seed)


def measure_tree(
    tree: Tree, files: Mapping[str, File], cache: Cache, workers: int, progress: Progress
) -> tuple[list[GeometryValue], int]:
    """Every number of every usable representation, in a fixed order, and how many had to be computed."""
    pairs = comparisons(tree, files)
    runs = {i: tree.by_identity[i].run for i in [*_with_files(tree, files), *_quarantined(tree, files)]}
    usable = sorted(runs, key=lambda identity: runs[identity].path)
    file = {identity: files[runs[identity].path] for identity in usable}
    by_subject: dict[Identity, list[RepresentationPair]] = defaultdict(list)
    for pair in pairs:
        by_subject[pair.subject].append(pair)
    subjects = [_subject(file, identity, by_subject[identity]) for identity in usable]
    numbers = compute(subjects, cache, workers, progress)
    values = [value for identity in usable for value in _values(identity, by_subject[identity], file, numbers)]
    return values, numbers.computed


def _subject(file: Mapping[Identity, File], identity: Identity, pairs: Iterable[RepresentationPair]) -> Subject:
    full = tuple(dict.fromkeys(file[pair.reference] for pair in pairs if pair.relation in FULL))
    light = tuple(dict.fromkeys(file[pair.reference] for pair in pairs if pair.relation not in FULL))
    return Subject(file[identity], full, tuple(one for one in light if one not in full))


def _values(
    identity: Identity, pairs: Iterable[RepresentationPair], file: Mapping[Identity, File], numbers: Numbers
) -> Iterator[GeometryValue]:
    for measure, layer in product(SINGLE, LAYERS):
        entry = numbers.of(file[identity], Item(measure.name, layer))
        yield from (GeometryValue(identity, SINGLE_RUN, None, layer, "", name, _float(v)) for name, v in entry.items())
    for pair in pairs:
        for item in _pair_items(file[pair.reference]):
            for name, value in numbers.of(file[identity], item).items():
                yield GeometryValue(
                    identity, pair.relation, pair.reference, item.layer, item.other_layer, name, _float(value)
                )


def _pair_items(reference: File) -> Iterator[Item]:
    yield from (Item(measure.name, layer, reference, layer) for measure in PAIR for layer in LAYERS)
    yield from (Item(CROSS[0].name, layer, reference, other) for layer, other in product(LAYERS, LAYERS))
    yield from (Item(measure.name, "", reference) for measure in LOGITS)


def _float(value: float | None) -> float:
    return math.nan if value is None else value
