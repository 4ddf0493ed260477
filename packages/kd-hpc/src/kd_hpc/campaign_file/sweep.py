"""Further axes of a campaign: every run on which a recipe field acts, once with each value of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe, acts_on
from kd_hpc.variant import Control, format_setting

Value = int | float | str
Axes = Mapping[str, tuple[Value, ...]]


def swept(run: Experiment, axes: Axes, recipe: Recipe) -> Iterator[Experiment]:
    """`run` with each combination of the values that can change its numbers; a value of `recipe` makes no difference.

    Raises IdentityError for what is no setting, or no value of it.
    """
    acting = {name: values for name, values in axes.items() if _acts(name, run)}
    for values in product(*acting.values()):
        chosen = zip(acting, values, strict=True)
        settings = tuple(
            (name, format_setting(value)) for name, value in chosen if value != getattr(recipe, name, None)
        )
        differs = run.differs._replace(settings=settings)
        recipe.varied(differs)
        yield Experiment(**{**run.model_dump(), "variant": str(differs)})


def _acts(field: str, run: Experiment) -> bool:
    smooths_nothing = field == "label_smoothing" and run.differs.control == Control.HARD
    return acts_on(field, run.method) and not smooths_nothing
