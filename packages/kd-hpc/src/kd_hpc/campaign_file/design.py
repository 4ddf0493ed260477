"""The design of a campaign: which runs there are, and how each is trained. The part of a campaign file that is science.

Per data set and seed: teachers and pure students, then each method at each alpha, then the control arms, then forks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from kd_hpc.campaign_file.forks import Alpha, Forks
from kd_hpc.campaign_file.sweep import Value, swept
from kd_hpc.catalogue import DATASETS, ON_LOGITS
from kd_hpc.experiment import Experiment, controls_for
from kd_hpc.recipe import Recipe, Strict
from kd_hpc.variant import Control

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
    forks: tuple[Forks, ...] = ()
    """Runs that go on from others' kept checkpoints."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Further teachers with their students, beside `teacher` and `student`."""
    grid: dict[str, tuple[Value, ...]] = Field({})
    """Further axes: recipe fields with the values that runs on which they act have, each a run of its own."""
    settings: dict[str, Value] = Field({})
    """Recipe fields with another value for this time, as typed with --set: instead of the grid's values."""
    recipe: Recipe = Recipe()

    @field_validator("datasets", "methods", "alphas", "seeds", "controls", "control_alphas", "pairs")
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

    @field_validator("grid")
    @classmethod
    def _each_has_values(cls, grid: dict[str, tuple[Value, ...]]) -> dict[str, tuple[Value, ...]]:
        for name, values in grid.items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} needs values that differ")
        return grid

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
    def _forks_have_a_beginning(self) -> Self:
        epochs, ordinary = self.recipe.epochs, list(self._ordinary(self.datasets[0], self.seeds[0], *self._pairs[0]))
        for forks in self.forks:
            if not forks.parents(ordinary):
                raise ValueError("a table of forks has no parents: its methods and alphas must be the campaign's")
            if forks.control == Control.OTHER_TEACHER and len(self.seeds) < 2:
                raise ValueError("a fork with the teacher of another seed needs a second seed")
            if never := [epoch for epoch in forks.at if epoch >= epochs]:
                raise ValueError(f"a fork at epoch {never[0]} has nothing left to train; the last one is {epochs}")
            if lost := [epoch for epoch in forks.at if epoch not in self.recipe.checkpoint_epochs]:
                kept = sorted({*self.recipe.checkpoint_epochs, *lost})
                raise ValueError(
                    f"forks at epoch {lost[0]} need its checkpoint: write checkpoint_epochs = {kept} under [recipe]"
                )
        return self

    @model_validator(mode="after")
    def _holds_out_less_than_there_is(self) -> Self:
        held_out = self.recipe.validation
        for name in filter(DATASETS.__contains__, self.datasets):
            facts = DATASETS[name]
            if held_out and not facts.classes <= held_out <= facts.train_items - facts.classes:
                raise ValueError(
                    f"recipe.validation = {held_out} must hold out at least one of each of the {facts.classes} classes "
                    f"of {name}, and leave some of its {facts.train_items} training images"
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
            dict.fromkeys(
                run
                for dataset, seed, pair in product(self.datasets, self.seeds, self._pairs)
                for run in (
                    *self._swept(self._ordinary(dataset, seed, *pair)),
                    *self._swept(self._control_arms(dataset, seed, *pair)),
                    *self._forks(dataset, seed, *pair),
                )
            )
        )

    def recipe_for(self, run: Experiment) -> Recipe:
        """How that run is trained. Raises IdentityError for a setting of it that is none."""
        return self.recipe.of(run.method).varied(run.differs)

    @property
    def teachers(self) -> frozenset[str]:
        """The networks whose pure runs others learn from."""
        return frozenset(teacher for teacher, _ in self._pairs)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return ((self.teacher, self.student), *self.pairs)

    def _swept(self, runs: Iterable[Experiment]) -> Iterator[Experiment]:
        axes = {**self.grid, **{name: (value,) for name, value in self.settings.items()}}
        for run in runs:
            yield from swept(run, axes, self.recipe)

    def _ordinary(self, dataset: str, seed: int, teacher: str, student: str) -> Iterator[Experiment]:
        for model in dict.fromkeys((teacher, student)):
            yield Experiment(dataset=dataset, student=model, seed=seed)
        for method, alpha in product(self.methods, self.alphas):
            yield Experiment(dataset=dataset, method=method, alpha=alpha, teacher=teacher, student=student, seed=seed)

    def _control_arms(self, dataset: str, seed: int, teacher: str, student: str) -> Iterator[Experiment]:
        if Control.HARD in self.controls:
            yield Experiment(dataset=dataset, student=student, seed=seed, variant=Control.HARD.value)
        for control, method in product(self._controls_of_methods, self.methods):
            if control in controls_for(method):
                for alpha in self.control_alphas or self.alphas:
                    yield Experiment(
                        dataset=dataset,
                        method=method,
                        alpha=alpha,
                        teacher=teacher,
                        student=student,
                        seed=seed,
                        variant=self._variant(control, seed),
                    )

    def _forks(self, dataset: str, seed: int, teacher: str, student: str) -> Iterator[Experiment]:
        other = {seed: self._other_seed(seed)}
        for forks in self.forks:
            yield from forks.of(self._swept(self._ordinary(dataset, seed, teacher, student)), other)

    def _variant(self, control: Control, seed: int) -> str:
        return f"{control}_{self._other_seed(seed)}" if control == Control.OTHER_TEACHER else control.value

    def _other_seed(self, seed: int) -> int:
        """The next one in the list, in a circle."""
        return self.seeds[(self.seeds.index(seed) + 1) % len(self.seeds)]
