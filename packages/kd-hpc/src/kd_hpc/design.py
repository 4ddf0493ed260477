"""The design of a campaign: which runs there are, and how each is trained. The part of a campaign file that is science.

Per data set and seed: teachers and pure students, then each method at each alpha, then the control arms.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from kd_hpc.catalogue import ON_LOGITS
from kd_hpc.experiment import Experiment, controls_for
from kd_hpc.recipe import Recipe, Strict
from kd_hpc.variant import Control

Alpha = Annotated[float, Field(ge=0, le=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


class Design(Strict):
    """The lists that a campaign's runs are made from, and the recipe of all."""

    datasets: tuple[str, ...] = Field(min_length=1)
    teacher: str
    student: str
    methods: tuple[str, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    seeds: tuple[Seed, ...] = Field(min_length=1)
    controls: tuple[Control, ...] = ()
    """Arms that tell a teacher's knowledge from everything else that distillation changes; see kd_hpc.variant."""
    control_alphas: tuple[Alpha, ...] = ()
    """The alphas of the control arms; without it those of the methods."""
    recipe: Recipe = Recipe()

    @field_validator("datasets", "methods", "alphas", "seeds", "controls", "control_alphas")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"{', '.join(map(str, sorted(twice)))} is listed twice")
        return values

    @model_validator(mode="after")
    def _has_whole_grid(self) -> Self:
        if bool(self.methods) != bool(self.alphas):
            raise ValueError("methods and alphas need each other: list both, or neither")
        return self

    @model_validator(mode="after")
    def _controls_make_sense(self) -> Self:
        if self.control_alphas and not self._controls_of_methods:
            raise ValueError("control_alphas belongs to a control arm of a method: list one in controls, or delete it")
        if self._controls_of_methods and not self.methods:
            raise ValueError(f"the control arm {self._controls_of_methods[0]} needs methods to control for")
        if Control.OTHER_TEACHER in self.controls and len(self.seeds) < 2:
            raise ValueError("the control arm other_teacher needs a second seed, whose teacher it takes")
        if Control.SHUFFLED in self.controls and not set(self.methods) & set(ON_LOGITS):
            raise ValueError(
                f"the control arm shuffled makes no sense for {', '.join(self.methods)}, whose targets are no logits; "
                f"it does for {', '.join(ON_LOGITS)}"
            )
        return self

    @model_validator(mode="after")
    def _weighs_its_own_terms(self) -> Self:
        if problem := self.recipe.unknown_weight(self.methods):
            raise ValueError(f"recipe.weights: {problem.removesuffix('.')}")
        if problem := self.recipe.unknown_exception(self.methods):
            raise ValueError(f"recipe.convex: {problem.removesuffix('.')}")
        return self

    @property
    def _controls_of_methods(self) -> list[Control]:
        return [control for control in self.controls if control != Control.HARD]

    def experiments(self) -> tuple[Experiment, ...]:
        """Every run of the design."""
        return tuple(
            run
            for dataset, seed in product(self.datasets, self.seeds)
            for run in (*self._ordinary(dataset, seed), *self._control_arms(dataset, seed))
        )

    def recipe_for(self, run: Experiment) -> Recipe:
        """How that run is trained. Raises IdentityError for a setting of it that is none."""
        return self.recipe.of(run.method).varied(run.differs)

    def _ordinary(self, dataset: str, seed: int) -> Iterator[Experiment]:
        for model in dict.fromkeys((self.teacher, self.student)):
            yield Experiment(dataset=dataset, student=model, seed=seed)
        for method, alpha in product(self.methods, self.alphas):
            yield self._distilled(dataset, method, alpha, seed)

    def _control_arms(self, dataset: str, seed: int) -> Iterator[Experiment]:
        if Control.HARD in self.controls:
            yield Experiment(dataset=dataset, student=self.student, seed=seed, variant=Control.HARD.value)
        for control, method in product(self._controls_of_methods, self.methods):
            if control in controls_for(method):
                for alpha in self.control_alphas or self.alphas:
                    yield self._distilled(dataset, method, alpha, seed, self._variant(control, seed))

    def _distilled(self, dataset: str, method: str, alpha: float, seed: int, variant: str = "") -> Experiment:
        return Experiment(
            dataset=dataset,
            method=method,
            alpha=alpha,
            teacher=self.teacher,
            student=self.student,
            seed=seed,
            variant=variant,
        )

    def _variant(self, control: Control, seed: int) -> str:
        if control != Control.OTHER_TEACHER:
            return control.value
        following = (self.seeds.index(seed) + 1) % len(self.seeds)
        return f"{control}_{self.seeds[following]}"
