"""What is said of weights that are not the wanted network's."""

from __future__ import annotations

import pytest
import torch

from kd_core.artifacts.foreign import _difference

NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("lacking", "said"),
    [(0, ""), (1, "it lacks a"), (3, "it lacks a, b, c"), (4, "it lacks a, b, c and 1 more"),
     (5, "it lacks a, b, c and 2 more")],
)  # fmt: skip
def test_three_names_are_told_and_how_many_more_there_are(lacking: int, said: str) -> None:
    wanted = {name: torch.zeros(2) for name in NAMES}
    found = {name: wanted[name] for name in NAMES[lacking:]}
    assert _difference(found, wanted) == said


def test_names_and_shapes_are_told_together() -> None:
    wanted = {"a": torch.zeros(2), "b": torch.zeros(2, 3)}
    found = {"b": torch.zeros(3), "x": torch.zeros(1)}
    assert _difference(found, wanted) == "it lacks a; it has x; b is (3,) instead of (2, 3)"
