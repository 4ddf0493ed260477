"""Grids without a disk: accuracies by cell and seed, as `build_grid` would find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kd_analysis.accuracy.cells import Cell, Grid, Setting

SETTING = Setting("Digits", "ResNet20", "ResNetBaby")
METHODS = ("logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst")
ALPHAS = (0.25, 0.5, 0.75)
Values = Mapping[tuple[str, float | None], Mapping[int, float]]

QUICKSTART: Mapping[tuple[str, float], Sequence[int]] = {
    ("logit", 0.25): (2, 4, 2),
    ("logit", 0.5): (2, 3, 2),
    ("logit", 0.75): (5, 2, 4),
    ("factor_transfer", 0.25): (2, 2, 4),
    ("factor_transfer", 0.5): (9, 4, 4),
    ("factor_transfer", 0.75): (14, 9, 9),
    ("attention_transfer", 0.25): (5, 1, 2),
    ("attention_transfer", 0.5): (4, 4, 2),
    ("attention_transfer", 0.75): (3, 4, 2),
    ("fitnets", 0.25): (5, 4, 2),
    ("fitnets", 0.5): (6, 5, 6),
    ("fitnets", 0.75): (11, 5, 5),
    ("rkd", 0.25): (6, 3, 3),
    ("rkd", 0.5): (7, 4, 2),
    ("rkd", 0.75): (5, 4, 3),
    ("nst", 0.25): (2, 3, 4),
    ("nst", 0.5): (5, 6, 4),
    ("nst", 0.75): (6, 5, 7),
}
"""Errors among the 364 test images of one real quickstart, by seed; the pure student had 5, 4 and 4."""


def grid_of(settings: Mapping[Setting, Values]) -> Grid:
    """A grid of several settings; the value of ("pure", None) is the pure student's, of ("pure+hard", None) the
    control arm's, of ("pure+lr_0.05", None) that of a pure student with another setting."""
    cells: list[Cell] = []
    pure, hard, swept = {}, {}, {}
    for setting, values in settings.items():
        key = (setting.dataset, setting.student)
        plain = {method: found for (method, alpha), found in values.items() if method.startswith("pure")}
        pure[key] = plain.pop("pure", {})
        hard[key] = plain.pop("pure+hard", {})
        swept[key] = plain
    bare = Grid((), pure, {key: found for key, found in hard.items() if found}, swept)
    for setting, values in settings.items():
        for (method, alpha), by_seed in values.items():
            if not method.startswith("pure"):
                cells.append(Cell(setting, method, alpha, len(by_seed), by_seed, bare.reference(setting, method)))
    return replace(bare, cells=tuple(cells))


def quickstart() -> Grid:
    """The quickstart's grid."""
    errors: dict[tuple[str, float | None], Sequence[int]] = {("pure", None): (5, 4, 4)}
    errors.update(QUICKSTART.items())
    return grid_of({SETTING: {key: {s: 100 - n / 3.64 for s, n in enumerate(found)} for key, found in errors.items()}})


def random_grid(
    rng: np.random.Generator,
    seeds: int,
    *,
    sd: float | Mapping[str, float] = 0.4,
    effects: Mapping[tuple[str, float], float] | None = None,
    setting: Setting = SETTING,
) -> Grid:
    """Six methods at three alphas and a pure student: additive seeds, normal errors, true effects against pure."""
    shift = rng.normal(0, 0.4, seeds)
    keys = [("pure", None), *((method, alpha) for method in METHODS for alpha in ALPHAS)]
    values = {}
    for method, alpha in keys:
        error = sd if isinstance(sd, int | float) else sd.get(method, 0.4)
        centre = 95 + (effects or {}).get((method, alpha or 0.0), 0.0)
        values[method, alpha] = {s: centre + shift[s] + float(rng.normal(0, error)) for s in range(seeds)}
    return grid_of({setting: values})
