"""One optimizer step of every student: plain, or recorded once and replayed.

A step of a deep, narrow network is a thousand small operations, and a GPU waits for the host to launch each of them.
What is recorded is launched at once. A recording is used only after it was shown, on this machine and with these
students, to change every bit as the plain step does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from kd_core.data.loaders import Batch, Inputs, Loader
from kd_core.networks.base import Outputs
from kd_core.teacher.frozen import Frozen
from kd_core.training.cuda_graphs import CudaGraphs
from kd_core.training.student import Student
from kd_hpc.errors import KdError

Result = TypeVar("Result")


class Step(Protocol):
    """Takes one step of each student with what the loader drew; a student that fails keeps its error."""

    def __call__(self, students: Sequence[Student], inputs: Inputs) -> None: ...


class Recorder(Protocol):
    """Something that can do again, faster, what it saw being done on the device."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does `work` again on the same tensors; whether `work` itself was done meanwhile is left open."""
        ...

    def side_by_side(self, works: Iterable[Callable[[], None]]) -> None:
        """Do all `works`, none of which needs another's result."""
        ...

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begin `work` beside what follows, until that asks for its result."""
        ...


class PlainStep:
    """Operation by operation; the teacher is asked once for all students."""

    def __init__(self, loader: Loader, teacher: Frozen | None) -> None:
        self.loader, self.teacher = loader, teacher

    def __call__(self, students: Sequence[Student], inputs: Inputs) -> None:
        last = self.take(students, inputs)
        check(students, lambda: last)

    def take(self, students: Sequence[Student], inputs: Inputs) -> tuple[Batch, Outputs | None]:
        """The step itself, before any watchdog looks; returns what it was taken with."""
        batch, targets = self.look(inputs)
        for student in students:
            guarded(student, lambda student: student.step(batch, lambda: targets))
        return batch, targets

    def look(self, inputs: Inputs) -> tuple[Batch, Outputs | None]:
        """The batch, and what the teacher makes of it."""
        batch = self.loader.make(inputs)
        return batch, self.ask(batch)

    def ask(self, batch: Batch) -> Outputs | None:
        """What the teacher makes of `batch`."""
        return self.teacher(batch.images) if self.teacher else None


class RecordedStep:
    """Replays a recording for each size of batch; the plain step takes over where none can be had, and says so."""

    def __init__(self, plain: PlainStep, recorder: Recorder) -> None:
        self.plain, self.recorder = plain, recorder
        self._students: tuple[Student, ...] = ()
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}
        self._refused = ""

    def __call__(self, students: Sequence[Student], inputs: Inputs) -> None:
        if self._refused or any(student.begins_epoch for student in students):
            self.plain(students, inputs)
            return
        if tuple(students) != self._students:
            self._students = tuple(students)
            self._recordings.clear()
        if recording := self._recordings.get(_shapes(inputs)):
            recording(inputs)
        else:
            self._record(inputs)
        check(students, lambda: self.plain.look(inputs))

    def _record(self, inputs: Inputs) -> None:
        """Take this step plainly, then record it, and keep the recording if it leads to the same bits.

        Where a student fails in the plain step nothing is recorded: the next one is, without that student.
        """
        state = _state(self._students)
        before = _copies(state)
        self.plain.take(self._students, inputs)
        if any(student.failure for student in self._students):
            return
        expected = _copies(state)
        try:
            _put(state.values(), before.values())
            recording = _Recording(inputs, self._work, self.recorder)
            _put(state.values(), before.values())
            recording(inputs)
            problem = _difference(state, expected)
        except (RuntimeError, KdError) as error:
            problem = str(error).strip().partition("\n")[0] or type(error).__name__
        if problem:
            _put(state.values(), expected.values())
            self._refuse(problem)
        else:
            self._recordings[_shapes(inputs)] = recording

    def _work(self, inputs: Inputs) -> None:
        batch = self.plain.loader.make(inputs)
        targets = self.recorder.meanwhile(lambda: self.plain.ask(batch))
        self.recorder.side_by_side(partial(student.step, batch, targets) for student in self._students)
        targets()

    def _refuse(self, problem: str) -> None:
        self._refused = problem
        self._recordings.clear()
        for student in self._students:
            student.updater.renew_scaler()
        print(f"kd-core: the step cannot be recorded ({problem}); training goes on without, slower.", file=sys.stderr)


class _Recording:
    """A replay, and the places it reads its inputs from."""

    def __init__(self, inputs: Inputs, work: Callable[[Inputs], None], recorder: Recorder) -> None:
        self._places = tuple(tensor.clone() for tensor in inputs)
        self._replay = recorder.record(lambda: work(self._places))

    def __call__(self, inputs: Inputs) -> None:
        _put(self._places, inputs)
        self._replay()


def choose_step(kind: str, loader: Loader, teacher: Frozen | None, device: torch.device) -> Step:
    """The step called `kind`: "fast" is recorded where there is something to record with, a GPU."""
    plain = PlainStep(loader, teacher)
    return RecordedStep(plain, CudaGraphs()) if kind == "fast" and device.type == "cuda" else plain


def guarded(student: Student, work: Callable[[Student], None]) -> None:
    """`work(student)`; an error of ours ends this student and no other."""
    if student.failure is None:
        try:
            work(student)
        except KdError as error:
            student.failure = error


def check(students: Sequence[Student], last: Callable[[], tuple[Batch, Outputs | None]]) -> None:
    """Each student's watchdog looks at the step just taken; `last` makes its batch again."""
    for student in students:
        guarded(student, lambda student: student.check(last))


def _shapes(inputs: Inputs) -> tuple[torch.Size, ...]:
    return tuple(tensor.shape for tensor in inputs)


def _state(students: Iterable[Student]) -> dict[str, Tensor]:
    """Everything a step of the students changes on the device, by name."""
    return {f"{name} of {one.experiment.label}": tensor for one in students for name, tensor in one.tensors.items()}


def _copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.no_grad()
def _put(places: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        place.copy_(value)


def _difference(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Which bits are not the expected ones, in words; empty if all are. Not-a-number counts as equal to itself."""
    wrong = [name for name, value in state.items() if not _same(value, expected[name])]
    others = f" and {len(wrong) - 1} others" if wrong[1:] else ""
    return f"it does not give the same bits: {wrong[0]}{others}" if wrong else ""


def _same(left: Tensor, right: Tensor) -> bool:
    return bool(((left == right) | ((left != left) & (right != right))).all())
