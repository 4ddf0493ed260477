"""Forks: runs that go on from a checkpoint that another run kept, and differ from it only after that epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Annotated

from pydantic import Field

from kd_hpc.experiment import Experiment, controls_for
from kd_hpc.recipe import Strict, acts_on
from kd_hpc.variant import Control, Fork

Alpha = Annotated[float, Field(ge=0, le=1, strict=True)]
Epoch = Annotated[int, Field(ge=1, strict=True)]


class Forks(Strict):
    """One [[forks]] table: which runs are forked, after which epochs, and what differs from then on."""

    at: tuple[Epoch, ...] = Field(min_length=1)
    methods: tuple[str, ...] = ()
    """Of the parents; without it all of the campaign."""
    alphas: tuple[Alpha, ...] = ()
    """Of the parents; without it all of the campaign."""
    alpha: Alpha | None = None
    method: str | None = None
    control: Control | None = None

    def parents(self, runs: Iterable[Experiment]) -> list[Experiment]:
        """Those of the distilled `runs` that are meant."""
        return [
            run
            for run in runs
            if not run.is_pure
            and not run.differs.control
            and (not self.methods or run.method in self.methods)
            and (not self.alphas or run.alpha in self.alphas)
        ]

    def of(self, runs: Iterable[Experiment], other_seed: dict[int, int]) -> Iterator[Experiment]:
        """The forks of `runs`, each once; `other_seed` names for a seed whose teacher is its other one.

        A control arm that makes no sense for a method is left out. Raises IdentityError.
        """
        for epoch, parent in product(self.at, self.parents(runs)):
            if self.control is None or self.control in controls_for(self.method or parent.method):
                seed = other_seed.get(parent.seed)
                yield forked(
                    parent, epoch, alpha=self.alpha, method=self.method, control=self.control, teacher_seed=seed
                )


def forked(
    parent: Experiment,
    epoch: int,
    *,
    alpha: float | None = None,
    method: str | None = None,
    control: Control | None = None,
    teacher: str | None = None,
    teacher_seed: int | None = None,
) -> Experiment:
    """The run that shares the first `epoch` epochs with `parent`; what is None stays as it is there.

    `teacher` is for a pure parent whose fork has a method; `teacher_seed` for the control arm other_teacher. Raises
    IdentityError for what is no run.
    """
    differs = parent.differs._replace(fork=Fork(epoch, parent.method, parent.alpha, parent.variant))
    differs = differs._replace(settings=tuple(s for s in differs.settings if acts_on(s[0], method or parent.method)))
    if control is not None:
        other = teacher_seed if control == Control.OTHER_TEACHER else None
        differs = differs._replace(control=control, teacher_seed=other)
    changes = {
        "method": parent.method if method is None else method,
        "alpha": parent.alpha if alpha is None else alpha,
        "teacher": parent.teacher if teacher is None else teacher,
        "variant": str(differs),
    }
    return Experiment(**{**parent.model_dump(), **changes}).require_known((parent.dataset,))
