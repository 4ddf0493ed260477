"""Which representations are compared with which.

A student is compared with its own teacher, as it saw it, and with the teachers of the other seeds; so is the plain
student, pure or on hard labels (the floor). Teachers of different seeds are compared with each other, students of one
seed with each other, and a run's earlier epochs with its teacher.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from kd_analysis.accuracy.cells import Setting, is_hard
from kd_analysis.accuracy.names import is_variant, method_order
from kd_analysis.reading.runs_table import Tree
from kd_analysis.representations.compute import File, Reference
from kd_analysis.representations.files import RunFiles
from kd_analysis.representations.measures import Reach
from kd_hpc.catalogue import PURE
from kd_hpc.triage.checks import Severity
from kd_hpc.triage.run_directory import Identity, Run
from kd_hpc.triage.verdict import Verdict

OWN, OTHER, OWN_FLAGGED = "own teacher", "other teacher", "own teacher, quarantined student"
FLOOR, FLOOR_OTHER = "plain student with its teacher", "plain student with another teacher"
TEACHERS, TEACHER_ITSELF = "teachers of two seeds", "teacher with itself"
STUDENTS, SEEDS, EARLIER = "students of one seed", "one student of two seeds", "own teacher, earlier epoch"
SINGLE_RUN, PICTURE = "itself", "drawn with its teacher"
REACH = {
    OWN: Reach.OWN,
    FLOOR: Reach.OWN,
    TEACHERS: Reach.OWN,
    OTHER: Reach.OTHERS,
    FLOOR_OTHER: Reach.OTHERS,
    OWN_FLAGGED: Reach.OTHERS,
    STUDENTS: Reach.PEERS,
    SEEDS: Reach.PEERS,
    EARLIER: Reach.PEERS,
}
"""Which measures a relation gets; a teacher with itself gets those across layers alone."""


@dataclass(frozen=True)
class RepresentationPair:
    """A subject's file beside a reference's; `epoch` of the subject where it is not its last."""

    subject: Identity
    reference: Identity
    relation: str
    file: File
    other: File
    epoch: int | None = None

    @property
    def compared(self) -> Reference:
        if self.relation == TEACHER_ITSELF:
            return Reference(self.other, None)
        return Reference(self.other, REACH[self.relation])


def pairs_of(tree: Tree, files: Mapping[str, RunFiles]) -> list[RepresentationPair]:
    """Every comparison the tree allows among runs whose representations are usable.

    Quarantined students are compared with their own teacher only, to be shown beside the others and never counted.
    """
    usable = with_files(tree, files)
    of = {identity: files[run.path] for identity, run in usable.items()}
    found: list[RepresentationPair] = []
    for identity in usable:
        if identity.teacher:
            plain = is_hard(identity)
            relations = (FLOOR, FLOOR_OTHER) if plain else (OWN, OTHER)
            found += _with_teachers(identity, identity.teacher, of, *relations)
            found += _earlier(identity, of)
    for setting in sorted({Setting(i.dataset, i.teacher, i.student) for i in usable if i.teacher}):
        found += _of_setting(setting, of)
    for identity, run in quarantined(tree, files).items():
        teacher = identity.teacher_run
        if teacher in of:
            seen = _seen(of[teacher])
            found.append(RepresentationPair(identity, teacher, OWN_FLAGGED, files[run.path].last, seen))
    return list(dict.fromkeys(found))


def with_files(tree: Tree, files: Mapping[str, RunFiles]) -> dict[Identity, Run]:
    """The runs whose representations count."""
    return {i: item.run for i, item in tree.usable.items() if item.usable_geometry and item.run.path in files}


def examples(tree: Tree, files: Mapping[str, RunFiles], setting: Setting) -> Iterator[Identity]:
    """Teacher, pure student and each method at its largest alpha, of the lowest seed that has representations."""
    usable = [identity for identity in with_files(tree, files) if identity.dataset == setting.dataset]
    for model in dict.fromkeys((setting.teacher, setting.student)):
        if pure := [i for i in usable if i.is_pure and i.student == model]:
            yield min(pure, key=lambda i: i.seed)
    students = [i for i in usable if (i.teacher, i.student) == (setting.teacher, setting.student)]
    ordinary = [i for i in students if not is_variant(i.method)]
    for method in sorted({i.method for i in ordinary}, key=method_order):
        mine = [i for i in ordinary if i.method == method]
        yield max(mine, key=lambda i: (-1.0 if i.alpha is None else i.alpha, -i.seed))


def pictured(tree: Tree, files: Mapping[str, RunFiles]) -> dict[Identity, tuple[Identity, File]]:
    """Of the examples the students that have a teacher here: that teacher, and its weights as the student saw them."""
    of = {identity: files[run.path] for identity, run in with_files(tree, files).items()}
    settings = {Setting(i.dataset, i.teacher, i.student) for i in of if i.teacher}
    found = {}
    for setting in sorted(settings):
        for identity in examples(tree, files, setting):
            teacher = identity.teacher_run or Identity(
                setting.dataset, PURE, None, None, setting.teacher, identity.seed
            )
            if teacher in of and teacher != identity:
                found[identity] = (teacher, _seen(of[teacher]))
    return found


def quarantined(tree: Tree, files: Mapping[str, RunFiles]) -> dict[Identity, Run]:
    """Flagged students whose representations themselves are sound."""
    return {
        identity: item.run
        for identity, item in tree.by_identity.items()
        if identity.teacher
        and item.verdict == Verdict.FLAGGED
        and item.run.path in files
        and all(finding.severity != Severity.GEOMETRY for finding in item.findings)
    }


Files = Mapping[Identity, RunFiles]


def _seen(teacher: RunFiles) -> File:
    """The weights that students learn from are the teacher's best."""
    return teacher.best or teacher.last


def _with_teachers(student: Identity, model: str, of: Files, own: str, other: str) -> Iterator[RepresentationPair]:
    mine = student.teacher_run or Identity(student.dataset, PURE, None, None, model, student.seed)
    for teacher in _teachers(student.dataset, model, of):
        relation = own if teacher == mine else other
        yield RepresentationPair(student, teacher, relation, of[student].last, _seen(of[teacher]))


def _earlier(student: Identity, of: Files) -> Iterator[RepresentationPair]:
    teacher = student.teacher_run
    for epoch, file in of[student].epochs.items() if teacher in of else ():
        assert teacher is not None
        yield RepresentationPair(student, teacher, EARLIER, file, _seen(of[teacher]), epoch)


def _of_setting(setting: Setting, of: Files) -> Iterator[RepresentationPair]:
    """Plain students with teachers, teachers with each other and themselves, students with students."""
    if setting.student != setting.teacher:
        for identity in of:
            plain = identity.teacher is None and not _is_teacher(identity, setting)
            if plain and (identity.dataset, identity.student) == (setting.dataset, setting.student):
                yield from _with_teachers(identity, setting.teacher, of, FLOOR, FLOOR_OTHER)
    teachers = _teachers(setting.dataset, setting.teacher, of)
    for first, second in combinations(teachers, 2):
        yield RepresentationPair(first, second, TEACHERS, _seen(of[first]), _seen(of[second]))
    for teacher in teachers:
        yield RepresentationPair(teacher, teacher, TEACHER_ITSELF, _seen(of[teacher]), _seen(of[teacher]))
    yield from _peers(setting, of)


def _peers(setting: Setting, of: Files) -> Iterator[RepresentationPair]:
    """The pure student and each method at its largest alpha: with each other, and with itself of other seeds."""
    found: dict[str, dict[int, Identity]] = defaultdict(dict)
    for identity in sorted(of, key=lambda i: (i.method, i.seed, -1.0 if i.alpha is None else i.alpha)):
        pure = identity.is_pure and identity.student == setting.student != setting.teacher
        ours = (identity.teacher, identity.student) == (setting.teacher, setting.student)
        if identity.dataset == setting.dataset and (pure or (ours and not is_variant(identity.method))):
            found[identity.method][identity.seed] = identity
    for first, second in combinations(found.values(), 2):
        for seed in sorted(first.keys() & second.keys()):
            yield _peer(first[seed], second[seed], STUDENTS, of)
    for by_seed in found.values():
        for one, other in combinations(sorted(by_seed), 2):
            yield _peer(by_seed[one], by_seed[other], SEEDS, of)


def _peer(first: Identity, second: Identity, relation: str, of: Files) -> RepresentationPair:
    return RepresentationPair(first, second, relation, of[first].last, of[second].last)


def _is_teacher(identity: Identity, setting: Setting) -> bool:
    return identity.is_pure and identity.student == setting.teacher


def _teachers(dataset: str, model: str, of: Iterable[Identity]) -> list[Identity]:
    found = (i for i in of if i.is_pure and i.dataset == dataset and i.student == model)
    return sorted(found, key=lambda identity: identity.seed)
