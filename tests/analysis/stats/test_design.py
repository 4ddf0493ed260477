"""Design curves against simulation, a second look against published boundaries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kd_analysis.stats.design import (
    cell_detectable,
    detectable_effect,
    simultaneous_critical,
    slope_detectable,
    two_looks,
)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_the_detectable_difference_is_found_four_times_in_five(seeds: int) -> None:
    cells, trials = 5, 20_000
    effect = cell_detectable(0.7, seeds, cells - 1, cells)
    degrees = (cells - 1) * (seeds - 1)
    rng = np.random.default_rng(seeds)
    estimates = rng.normal(effect, 0.7 * math.sqrt(2 / seeds), trials)
    sds = 0.7 * np.sqrt(rng.chisquare(degrees, trials) / degrees)
    found = estimates / (sds * math.sqrt(2 / seeds)) > simultaneous_critical(cells - 1, degrees)
    assert found.mean() == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / trials))


def test_a_slopes_detectable_effect_against_statsmodels_kind_of_power() -> None:
    spread = float(np.sum((np.array([0.25, 0.5, 0.75]) - 0.5) ** 2))
    effect = slope_detectable(0.4, 3, spread, methods=1, cells=19)
    shift = effect / (0.4 / math.sqrt(3 * spread))
    assert stats.nct.sf(stats.t.ppf(0.975, 36), 36, shift) == pytest.approx(0.8, abs=1e-6)


def test_more_seeds_detect_less() -> None:
    curve = [cell_detectable(0.41, seeds, 18, 19) for seeds in (2, 3, 6, 12)]
    assert curve == sorted(curve, reverse=True)
    assert curve[1] == pytest.approx(1.31, abs=0.01)


def test_one_seed_detects_nothing() -> None:
    assert cell_detectable(0.4, 1, 18, 19) == math.inf
    assert math.isnan(detectable_effect(0.0, 2.0, 5))


@pytest.mark.parametrize(("share", "first", "last"), [(0.5, 2.963, 1.969), (0.25, 4.333, 1.960), (0.75, 2.340, 2.012)])
def test_two_looks_have_lan_and_demets_boundaries(share: float, first: float, last: float) -> None:
    """As R's ldbounds and gsDesign print them for O'Brien-Fleming spending."""
    found = [float(stats.norm.isf(level / 2)) for level in two_looks(share)]
    assert found == pytest.approx([first, last], abs=2e-3)


def test_two_looks_spend_five_percent_by_simulation() -> None:
    first, last = (float(stats.norm.isf(level / 2)) for level in two_looks(1 / 3))
    rng, trials = np.random.default_rng(0), 200_000
    early, late = rng.normal(size=trials), rng.normal(size=trials)
    whole = math.sqrt(1 / 3) * early + math.sqrt(2 / 3) * late
    rejected = (np.abs(early) > first) | (np.abs(whole) > last)
    assert rejected.mean() == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / trials))
