"""What a comparison with the reference also compares: settings that differ beside the teacher's terms."""

from __future__ import annotations

from kd_analysis.accuracy.cells import Setting
from kd_analysis.analysis import Analysis
from kd_hpc.triage.recipes import is_pure, smoothing


def reference_note(analysis: Analysis, setting: Setting) -> str:
    """One sentence: what cells of the setting are compared with, and what else differs."""
    reference = analysis.last.reference(setting)
    if reference.is_hard:
        return (
            "Reference: the student on hard labels alone (alpha 0, no label smoothing). It differs from distilled "
            "students in nothing but the teacher's terms."
        )
    return f"Reference: the pure student. {smoothing_note(analysis, setting.dataset)}"


def smoothing_note(analysis: Analysis, dataset: str) -> str:
    """What label smoothing confounds, as far as records say."""
    found = {
        smoothing(item.run)
        for identity, item in analysis.tree.usable.items()
        if is_pure(identity) and identity.dataset == dataset
    }
    known = {value for value in found if value is not None}
    if known == {0.0}:
        return "Neither pure nor distilled students smooth labels."
    if not known:
        return (
            "Whether pure students smooth their labels is not on record (kd-core's default is 0.1, pure runs alone): a "
            "difference to them may be one of label smoothing."
        )
    values = ", ".join(f"{value:g}" for value in sorted(known))
    return (
        f"Pure students are trained with label smoothing ({values}), distilled ones without: a difference to them is "
        "one of teacher and smoothing together. The control arm hard would tell them apart."
    )
