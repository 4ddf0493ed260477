"""What distilled students are compared with: the student on hard labels where there is one, else the pure student; each
trained with the settings that the distilled one was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kd_analysis.accuracy.names import HARD, show_method
from kd_hpc.catalogue import PURE
from kd_hpc.recipe import teachers_variant
from kd_hpc.triage.run_directory import variant_of
from kd_hpc.variant import Control, Variant, arm, parse_variant

BySeed = Mapping[int, float]
Plain = Mapping[str, BySeed]
"""Accuracies in percent of one network's students without a teacher, by name and seed."""


@dataclass(frozen=True)
class Reference:
    """The arm that cells are compared with. `method` is `pure` or `pure+hard`, and behind it settings that differ."""

    method: str = PURE
    values: BySeed = field(default_factory=dict)

    @property
    def label(self) -> str:
        return show_method(self.method)

    @property
    def is_hard(self) -> bool:
        """True if it differs from distilled students in nothing but the teacher's terms."""
        return variant_of(self.method).control == Control.HARD


def reference_of(method: str, plain: Plain) -> Reference:
    """The hard-label student where it has at least two seeds, or as many as the pure one; else the pure student."""
    pure, hard = _names(method)
    controls, ordinary = plain.get(hard, {}), plain.get(pure, {})
    if controls and len(controls) >= min(2, len(ordinary)):
        return Reference(hard, controls)
    return Reference(pure, ordinary)


def _names(method: str) -> tuple[str, str]:
    """The pure and the hard-label student with those settings of `method` that act on students without a teacher."""
    settings = parse_variant(teachers_variant(variant_of(method))).settings
    if not settings:
        return PURE, HARD
    sharp = tuple(setting for setting in settings if setting[0] != "label_smoothing")
    return arm(PURE, str(Variant(settings=settings))), arm(PURE, str(Variant(control=Control.HARD, settings=sharp)))
