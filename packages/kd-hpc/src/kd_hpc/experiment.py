"""What a run is, and where it lives: Experiment <-> run directory."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kd_hpc.catalogue import DATASETS, METHODS, MODELS, ON_LOGITS, PURE
from kd_hpc.errors import IdentityError
from kd_hpc.recipe import Recipe, teachers_variant
from kd_hpc.screen.near import did_you_mean
from kd_hpc.variant import Control, Variant, arm, format_alpha, parse_variant, split_arm

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
MOST_LETTERS = 200
"""Of the directory level that names method and variant: file systems end at 255 bytes."""
NEW_NAME = "A new one needs its line in kd_hpc/catalogue.py, or a package: docs/guide/a-campaign-of-your-own.md"
OWN_DATA = (
    "One of your own needs [data.{name}] in the campaign file, then: kd-core data prepare {name} --campaign FILE "
    "(docs/guide/a-campaign-of-your-own.md)"
)


class Experiment(BaseModel):
    """One run: a pure one trains `student` on labels alone, a distilled one also on `teacher` with strength `alpha`.

    `variant` tells how it differs from the ordinary run of its method; see `kd_hpc.variant`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    method: str = PURE
    alpha: float | None = None
    teacher: str | None = None
    student: str
    seed: int
    variant: str = ""

    @model_validator(mode="after")
    def _is_an_experiment(self) -> Self:
        for field in ("dataset", "method", "teacher", "student"):
            check_name(field, getattr(self, field))
        if not 0 <= self.seed < 2**31:
            raise IdentityError(f"seed {self.seed} is not a whole number from 0 to 2147483647.")
        if self.method == PURE and (self.alpha is not None or self.teacher is not None):
            raise IdentityError(
                "A pure run has neither teacher nor alpha.", remedy="Leave both away, or name a method."
            )
        if self.method != PURE and (self.alpha is None or self.teacher is None):
            raise IdentityError(
                f"A {self.method} run needs a teacher and an alpha.", remedy="Add --teacher and --alpha."
            )
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise IdentityError(f"alpha {self.alpha} is outside [0, 1].")
        self._check_variant()
        return self

    def _check_variant(self) -> None:
        """Raise IdentityError for a variant that is none, or that this run cannot be."""
        differs = self.differs
        if "+" in self.method:
            raise IdentityError(f"method {self.method!r} is no usable name.", remedy="A plus sign begins a variant.")
        if differs.control == Control.HARD and not self.is_pure:
            raise IdentityError("The control arm hard has no method.", remedy="Leave the method away.")
        if differs.control not in (None, Control.HARD) and self.is_pure:
            raise IdentityError(
                f"A pure run has no teacher to control for ({differs.control}).", remedy="Add a method."
            )
        if differs.fork and differs.fork.method != PURE and self.is_pure:
            raise IdentityError("A pure run cannot go on from a distilled one.", remedy="Keep its method, at alpha 0.")
        if differs.teacher_seed == self.seed:
            raise IdentityError(f"The teacher of seed {self.seed} is this run's own.", remedy="Name another seed.")
        if len(self.arm) > MOST_LETTERS:
            raise IdentityError(f"{self.arm[:40]}... names more differences than a directory's name can hold.")

    @property
    def is_pure(self) -> bool:
        return self.method == PURE

    @property
    def differs(self) -> Variant:
        """How this run differs from the ordinary one of its method. Raises IdentityError."""
        return parse_variant(self.variant)

    @property
    def arm(self) -> str:
        """Method and variant as one word: what runs of other teachers, strengths and seeds have in common with it."""
        return arm(self.method, self.variant)

    @property
    def path(self) -> PurePosixPath:
        """The run directory, relative to the experiments folder."""
        if self.is_pure:
            return PurePosixPath(self.dataset, self.arm, self.student, str(self.seed))
        pair = f"{self.teacher}_to_{self.student}"
        return PurePosixPath(self.dataset, self.arm, f"alpha_{format_alpha(self.alpha)}", pair, str(self.seed))

    @property
    def teacher_run(self) -> Experiment | None:
        """The pure run this student learns from: same data set, and same seed unless the variant names another.

        It has those of this run's settings that act on pure runs, too. None for a pure run, and for one whose teacher
        is untrained.
        """
        if self.teacher is None or self.differs.control == Control.RANDOM_TEACHER:
            return None
        other = self.differs.teacher_seed
        return Experiment(
            dataset=self.dataset,
            student=self.teacher,
            seed=self.seed if other is None else other,
            variant=teachers_variant(self.differs),
        )

    @property
    def company(self) -> tuple[str, ...] | None:
        """What students that may be trained in one process have in common; None for a pure run, which is alone."""
        return _company(self)

    @property
    def parent(self) -> Experiment | None:
        """The run whose first epochs this one shares; None for a run that is no fork."""
        fork = self.differs.fork
        if fork is None:
            return None
        return Experiment(
            dataset=self.dataset,
            method=fork.method,
            alpha=fork.alpha,
            teacher=None if fork.method == PURE else self.teacher,
            student=self.student,
            seed=self.seed,
            variant=fork.variant,
        )

    @property
    def first_epoch(self) -> int:
        """Finished epochs that it has before its first step: those of its parent, if it is a fork."""
        fork = self.differs.fork
        return fork.epoch if fork else 0

    @property
    def label(self) -> str:
        """For tables and messages: the path itself."""
        return str(self.path)

    def require_known(self, own_datasets: Collection[str] = ()) -> Self:
        """Raise IdentityError unless all names are known and what is different makes sense; returns itself.

        The data set is in the catalogue or one of `own_datasets`.
        """
        _require("data set", self.dataset, DATASETS, OWN_DATA.format(name=self.dataset), own_datasets)
        _require("method", self.method, METHODS, NEW_NAME, (PURE,))
        for model in filter(None, (self.teacher, self.student)):
            _require("model", model, MODELS, NEW_NAME)
        control = self.differs.control
        if control and not self.is_pure and control not in (sensible := controls_for(self.method)):
            raise IdentityError(
                f"The control arm {control} makes no sense for {self.method}, whose targets are no logits.",
                remedy=f"For {self.method}: {', '.join(sensible)}; {control}: {', '.join(ON_LOGITS)}.",
            )
        Recipe().varied(self.differs)
        if self.parent:
            self.parent.require_known(own_datasets)
        return self


@lru_cache(maxsize=16384)
def _company(run: Experiment) -> tuple[str, ...] | None:
    if run.teacher is None:
        return None
    teacher = run.teacher_run.label if run.teacher_run else f"untrained {run.teacher}"
    return (run.dataset, run.student, str(run.seed), teacher, teachers_variant(run.differs))


def controls_for(method: str) -> tuple[Control, ...]:
    """The control arms that make sense for a distillation method."""
    anywhere = (Control.RANDOM_TEACHER, Control.OTHER_TEACHER)
    return (*anywhere, Control.SHUFFLED) if method in ON_LOGITS else anywhere


def check_name(field: str, name: str | None) -> None:
    """Raise IdentityError if `name` could not be one directory level and one shell word."""
    if name is not None and not SAFE_NAME.fullmatch(name):
        raise IdentityError(
            f"{field} {name!r} is no usable name.",
            remedy="Use letters, digits and . _ + - (first a letter or digit, at most 64).",
        )


def experiment_at(label: str) -> Experiment | None:
    """The run with this label; None for a label of an earlier layout, which does not say all, and for what is none."""
    try:
        return Experiment(**(parse_path(PurePosixPath(label)) or {}))
    except (IdentityError, ValidationError):
        return None


def parse_path(relative: PurePosixPath) -> dict[str, Any] | None:
    """What a run directory's path says of its run, or None if it is no run directory.

    Keys are Experiment's fields; a variant that could not be one is left in the method's name. Reads today's layout
    and the earlier one without an alpha level, where `alpha` is None for a distilled run too: its record knows it.
    """
    match relative.parts:
        case (dataset, method, model, seed) if split_arm(method)[0] == PURE:
            fields: dict[str, Any] = {"alpha": None, "teacher": None, "student": model}
        case (dataset, method, alpha, pair, seed) if alpha.startswith("alpha_") and "_to_" in pair:
            teacher, _, student = pair.partition("_to_")
            fields = {"alpha": _parse_alpha(alpha), "teacher": teacher, "student": student}
        case (dataset, method, pair, seed) if "_to_" in pair:
            teacher, _, student = pair.partition("_to_")
            fields = {"alpha": None, "teacher": teacher, "student": student}
        case _:
            return None
    if not seed.isascii() or not seed.isdigit():
        return None
    method, variant = _known_arm(method)
    return {"dataset": dataset, "method": method, **fields, "seed": int(seed), "variant": variant}


def _known_arm(text: str) -> tuple[str, str]:
    method, variant = split_arm(text)
    try:
        parse_variant(variant)
    except IdentityError:
        return text, ""
    return method, variant


def _parse_alpha(level: str) -> float | None:
    try:
        return float(level.removeprefix("alpha_"))
    except ValueError:
        return None


def _require(kind: str, name: str, known: Collection[str], new: str, also: Collection[str] = ()) -> None:
    if name not in also and name not in known:
        names = (*also, *known)
        remedy = did_you_mean(name, names) or f"Known: {', '.join(names)}. {new}"
        raise IdentityError(f"{kind} {name!r} is not known.", remedy=remedy)
