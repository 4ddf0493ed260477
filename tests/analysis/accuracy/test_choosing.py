"""What choosing on the test images flatters, against numbers worked out by hand and by brute force."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_analysis.accuracy.choosing import flattery
from kd_hpc.triage.logs import LogEvidence
from kd_hpc.triage.run_directory import Curves, Identity, Run

CURVE = st.lists(st.floats(0, 100), min_size=3, max_size=3)


def run(method: str, alpha: float | None, seed: int, test: list[float], held_out: list[float]) -> Run:
    identity = Identity("Digits", method, alpha, None if alpha is None else "ResNet20", "ResNetBaby", seed)
    curves = Curves(test_acc=tuple(test), validation_acc=tuple(held_out))
    return Run("", Path(), identity, None, "", curves, "metrics.json", "", 0, LogEvidence(), has_representations=False)


def test_a_run_is_flattered_by_the_epochs_that_its_test_images_prefer() -> None:
    (found,) = flattery([run("pure", None, 0, [80, 90, 85], [70, 71, 75]), run("pure", None, 1, [80, 90], [70, 71])])
    assert (found.dataset, found.method, found.runs) == ("Digits", "pure", 2)
    assert found.epoch == pytest.approx((90 - 85 + 0) / 2)
    assert math.isnan(found.alpha)


def test_choosing_the_alpha_too_flatters_more() -> None:
    low, high = run("rkd", 0.25, 0, [80, 90], [71, 70]), run("rkd", 0.5, 0, [80, 88], [60, 75])
    (found,) = flattery([low, high])
    assert found.epoch == pytest.approx((90 - 80 + 0) / 2)
    assert found.alpha == pytest.approx(90 - 88)


def test_runs_that_held_nothing_out_say_nothing() -> None:
    assert flattery([run("pure", None, 0, [80, 90], [])]) == []
    assert flattery([run("pure", None, 0, [80, math.nan], [70, 71])]) == []


@given(st.lists(st.tuples(CURVE, CURVE), min_size=2, max_size=4))
def test_nothing_is_ever_flattered_by_less_than_nothing(curves: list[tuple[list[float], list[float]]]) -> None:
    runs = [run("rkd", place / 10, 0, test, held_out) for place, (test, held_out) in enumerate(curves)]
    (found,) = flattery(runs)
    assert found.epoch >= 0
    assert found.alpha >= 0
    everywhere = [(score, test[epoch]) for test, held_out in curves for epoch, score in enumerate(held_out)]
    best = max(score for score, _ in everywhere)
    chosen = {accuracy for score, accuracy in everywhere if score == best}
    assert max(max(test) for test, _ in curves) - found.alpha == pytest.approx(
        min(chosen, key=lambda a: abs(max(max(test) for test, _ in curves) - found.alpha - a))
    )
