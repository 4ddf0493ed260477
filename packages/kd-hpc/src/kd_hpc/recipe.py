"""How runs are trained: the fields of a recipe, what each may be, and where two recipes differ.

A field is declared once, here: its type, default, bounds and meaning. `[recipe]` of a campaign file and the options of
`kd-core train` are made from it, records keep it, and comparisons know it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from kd_hpc.acting import DISTILLED_RUNS, FACTOR_TRANSFER, LOGIT_METHODS, NO_RUN, PURE_RUNS, ActsOn
from kd_hpc.catalogue import LOSS_TERMS, PURE
from kd_hpc.errors import IdentityError
from kd_hpc.screen.near import did_you_mean
from kd_hpc.variant import Control, Variant, format_setting

_CALIBRATED = re.compile(r"calibrated:([0-9]+(?:\.[0-9]+)?)")
Weight = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """A table of a campaign file: no key it does not know, no value of another kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Neither text nor true is a number, though pydantic would take both for one."""
        kind = cls.model_fields[info.field_name or ""].annotation
        if kind in (int, float) and isinstance(value, str | bool):
            raise PydanticKnownError("int_type")
        return value


class Recipe(Strict):
    """How every run of a campaign is trained. The defaults are the thesis recipe (docs/recipe.md)."""

    epochs: int = Field(150, ge=1, description="Epochs in all.")
    batch_size: int = Field(128, ge=1, description="Images a step.")
    lr: float = Field(0.1, gt=0, description="Learning rate of the first epoch.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of stochastic gradient descent.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay, of every trained parameter.")
    label_smoothing: Annotated[float, PURE_RUNS] = Field(
        0.1, ge=0, lt=1, description="Label smoothing, of pure runs only."
    )
    temperature: Annotated[float, LOGIT_METHODS] = Field(
        4.0, gt=0, description="Temperature of the methods that soften logits."
    )
    augmentation: Literal["auto", "crop-flip", "crop", "resized-crop", "none"] = Field(
        "auto", description="Augmentation; auto is crop-flip, or crop where a mirrored image is another thing."
    )
    validation: int = Field(
        0, ge=0, description="Training images held out, on which the best epoch is chosen; 0: on the test images."
    )
    loader: Annotated[Literal["device", "workers"], NO_RUN] = Field(
        "device", description="Who makes the batches, which are the same."
    )
    amp_dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="Arithmetic of the forward passes; float32 is no AMP."
    )
    step: Literal["fast", "plain"] = Field(
        "fast", description="plain: operation by operation and an unfolded teacher, to compare with."
    )
    paraphraser_epochs: Annotated[int, FACTOR_TRANSFER] = Field(
        30, ge=1, description="Epochs of factor_transfer's first stage."
    )
    watchdog_skips: Annotated[int, NO_RUN] = Field(
        100, ge=1, description="Skipped optimizer steps in a row that stop a run."
    )
    weights: dict[str, Weight] = Field(
        {}, description="Weight of one loss term instead of the method's own, such as rkd.angle=2."
    )
    representation_epochs: Annotated[tuple[int, ...], NO_RUN] = Field(
        (), description="Finished epochs after which representations are kept, beside those at the end."
    )
    checkpoint_epochs: Annotated[tuple[int, ...], NO_RUN] = Field(
        (), description="Finished epochs whose checkpoint is kept, for forks and audits."
    )
    schedule: Literal["cosine", "multistep"] = Field(
        "cosine", description="How the learning rate falls: by a cosine to 0, or by a factor at each milestone."
    )
    milestones: tuple[int, ...] = Field(
        (), validate_default=True, description="Finished epochs after which multistep lowers it."
    )
    factor: float = Field(0.1, gt=0, lt=1, description="What multistep multiplies it by.")
    mix: Annotated[Literal["convex", "sum"], DISTILLED_RUNS] = Field(
        "convex", description="Loss: (1 - alpha) * labels + alpha * method, or labels + alpha * method."
    )
    convex: Annotated[tuple[str, ...], DISTILLED_RUNS] = Field(
        (), description="A method that stays convex where the mix is sum."
    )

    calibrated: Annotated[float, DISTILLED_RUNS] = Field(
        0.0,
        ge=0,
        description="So many times as hard as the labels a method is made to pull at the start, by one factor on its "
        "weights; 0 leaves them as they are.",
    )

    @model_validator(mode="before")
    @classmethod
    def _calibrated_in_a_word(cls, fields: Any) -> Any:
        """`weights = "calibrated:0.5"` is short for `calibrated = 0.5`."""
        word = fields.get("weights") if isinstance(fields, Mapping) else None
        match = _CALIBRATED.fullmatch(word) if isinstance(word, str) else None
        if match is None or "calibrated" in fields:
            return fields
        return {**fields, "weights": {}, "calibrated": float(match[1])}

    @field_validator("representation_epochs", "checkpoint_epochs")
    @classmethod
    def _are_reached(cls, epochs: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        last = info.data.get("epochs", 0)
        if last and (never := [epoch for epoch in epochs if not 1 <= epoch <= last]):
            raise ValueError(f"epoch {never[0]} never ends; epochs are 1 to {last}")
        return epochs

    @field_serializer("weights")
    def _other_than_the_methods_own(self, weights: dict[str, float]) -> dict[str, float]:
        """Spelled out as the method's own, a weight is no change, and so it is not written."""
        return {name: weight for name, weight in weights.items() if weight != _own_weight(name)}

    @field_validator("milestones")
    @classmethod
    def _are_milestones(cls, epochs: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        last, schedule = info.data.get("epochs", 0), info.data.get("schedule")
        if not epochs and schedule == "multistep":
            raise ValueError("multistep needs milestones, such as [150, 180, 210]")
        if epochs and schedule == "cosine":
            raise ValueError('milestones mean nothing to a cosine: write schedule = "multistep"')
        if last and (past := [epoch for epoch in epochs if not 1 <= epoch < last]):
            raise ValueError(f"milestone {past[0]} is past the end: between epochs lie 1 to {last - 1}")
        if list(epochs) != sorted(set(epochs)):
            raise ValueError("milestones must rise")
        return epochs

    @field_validator("convex")
    @classmethod
    def _are_exceptions(cls, methods: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if methods and info.data.get("mix") == "convex":
            raise ValueError('these are exceptions from mix = "sum": write that, or leave them out')
        return methods

    @classmethod
    def recorded(cls, fields: Mapping[str, Any]) -> Recipe:
        """The recipe that a record tells, unchecked: an earlier version knew fewer fields and refused less."""
        known = {name: value for name, value in fields.items() if name in cls.model_fields}
        several = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}  # as JSON has it
        return cls.model_construct(None, **known | several)

    def unknown_weight(self, methods: tuple[str, ...]) -> str:
        """What is wrong with the first weight that no run of `methods` would use; empty if each has its use."""
        known = terms_of(methods)
        wrong = next((name for name in self.weights if name not in known), None)
        if wrong is None:
            return ""
        names = list(dict.fromkeys(methods))
        have = "have" if names[1:] else "has"
        trained = f"{' and '.join(names)} {have} {', '.join(known)}" if known else "pure runs have none"
        return " ".join(filter(None, (f"{wrong!r} is no loss term here: {trained}.", did_you_mean(wrong, known))))

    def unknown_exception(self, methods: tuple[str, ...]) -> str:
        """What is wrong with the first method in `convex` that is not among `methods`; empty if each is."""
        wrong = next((name for name in self.convex if name not in methods), None)
        return f"{wrong!r} is not trained here: {', '.join(methods) or 'only pure runs are'}." if wrong else ""

    def weights_of(self, method: str) -> dict[str, float]:
        """The weight of each loss term of `method`, by its name there: {"distance": 1, "angle": 2}."""
        return {term: self.weights.get(f"{method}.{term}", own) for term, own in LOSS_TERMS.get(method, {}).items()}

    def of(self, *methods: str) -> Self:
        """As far as runs of `methods` depend on it: without other methods' weights, with the mix of one that is alone.

        A pure run has nothing to mix, and a cosine no factor.
        """
        known = terms_of(methods)
        convex = tuple(name for name in self.convex if name in methods)
        alone = set(methods) == {PURE} or (len(set(methods)) == 1 and convex)
        return self.model_copy(
            update={
                "weights": {name: weight for name, weight in self.weights.items() if name in known},
                "mix": "convex" if alone else self.mix,
                "calibrated": 0.0 if set(methods) == {PURE} else self.calibrated,
                "convex": () if alone else convex,
                "factor": self.factor if self.schedule == "multistep" else type(self).model_fields["factor"].default,
            }
        )

    def varied(self, variant: Variant) -> Self:
        """The recipe of a run that differs so from the ordinary one. Raises IdentityError for what is no setting."""
        changes: dict[str, Any] = {name: _setting(name, text) for name, text in variant.settings}
        if variant.control == Control.HARD:
            changes["label_smoothing"] = 0.0
        if not changes:
            return self
        try:
            return type(self).model_validate(self.model_dump() | changes)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = first["msg"].removeprefix("Value error, ")
            raise IdentityError(f"{variant} is no recipe: {first['loc'][0]}: {message}.") from None

    def differences(self, recorded: Mapping[str, Any], method: str) -> str:
        """Where a run of `method` was trained otherwise than this says, in words; empty if nothing is on record.

        A field that an earlier version did not know had its default then. What changes none of the run's numbers, as
        another method's weight, or who makes its batches, is no difference.
        """
        if not recorded or recorded == self.model_dump(mode="json", warnings=False):
            return ""
        ours, theirs = self.acting_on(method), Recipe.recorded(recorded).acting_on(method)
        return ", ".join(f"{name} {theirs[name]}, now {ours[name]}" for name in ours if theirs[name] != ours[name])

    def acting_on(self, method: str) -> dict[str, Any]:
        """The fields that can change the numbers of a run of `method`, with their values as JSON has them."""
        fields = self.of(method).model_dump(mode="json", warnings=False)
        return {name: value for name, value in fields.items() if acts_on(name, method)}

    def identity(self, method: str) -> str:
        """A digest of what can change the numbers of a run of `method`: runs of one recipe have the same.

        A field that has its default leaves it as it is, so that a field which comes later does, too.
        """
        fields, defaults = self.acting_on(method), Recipe().acting_on(method)
        changed = {name: value for name, value in fields.items() if value != defaults[name]}
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()


def acts_on(field: str, method: str) -> bool:
    """True if the recipe field can change the numbers of a run of `method`, which may be "pure"."""
    return all(mark.runs_of(method) for mark in _marks(field))


@cache
def _marks(field: str) -> tuple[ActsOn, ...]:
    known = Recipe.model_fields.get(field)
    return tuple(mark for mark in known.metadata if isinstance(mark, ActsOn)) if known else ()


def teachers_variant(variant: Variant) -> str:
    """How the teacher of a run that differs so differs from its ordinary one: by the settings that act on it, too."""
    return str(Variant(settings=tuple(setting for setting in variant.settings if acts_on(setting[0], PURE))))


def _setting(name: str, text: str) -> Any:
    """The value of a recipe field as a variant spells it. Raises IdentityError where it has none."""
    if name not in VARIABLE:
        remedy = did_you_mean(name, VARIABLE) or f"Settings: {', '.join(VARIABLE)}."
        raise IdentityError(f"{name}_{text}: {name} is no setting that a run may have of its own.", remedy=remedy)
    kind = Recipe.model_fields[name].annotation
    try:
        value = kind(text) if kind in (int, float) else text
    except ValueError:
        raise IdentityError(f"{name}_{text}: {text!r} is no number.", remedy=f"Write, say, {name}_2.") from None
    if format_setting(value) != text:
        raise IdentityError(f"{name}_{text} has another spelling.", remedy=f"Write {name}_{format_setting(value)}.")
    return value


VARIABLE: tuple[str, ...] = tuple(
    name
    for name, field in Recipe.model_fields.items()
    if not isinstance(field.default, dict | tuple) and NO_RUN not in field.metadata
)
"""The fields that a single run, or a sweep, may have other values of."""


def _own_weight(name: str) -> float | None:
    """That of the loss term `name`, such as "rkd.angle"; None if there is no such term."""
    method, _, term = name.partition(".")
    return LOSS_TERMS.get(method, {}).get(term)


def terms_of(methods: tuple[str, ...]) -> tuple[str, ...]:
    """The loss terms of `methods`, as a weight names them: "rkd.angle"."""
    return tuple(f"{method}.{term}" for method in methods if method != PURE for term in LOSS_TERMS.get(method, {}))
