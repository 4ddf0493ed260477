"""Figures that were drawn before are taken from the cache, and only as they were drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from kd_analysis.figures import gallery
from kd_analysis.figures.gallery import Drawn, Gallery


@dataclass(frozen=True)
class Plot:
    name: str
    draw: Callable[[], Figure]


def line(height: float, beside: str = "") -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0.0, height])
    return figure


PLOTS = [Plot("low", partial(line, 1.0)), Plot("high", partial(line, 2.0))]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The heights that were really drawn."""
    heights: list[float] = []
    real = gallery.draw

    def counting(figure: Callable[[], Figure], formats: tuple[str, ...]) -> Drawn:
        assert isinstance(figure, partial)
        heights.append(figure.args[0])
        return real(figure, formats)

    monkeypatch.setattr(gallery, "draw", counting)
    return heights


def test_what_was_drawn_is_not_drawn_again(tmp_path: Path, drawn: list[float]) -> None:
    first = Gallery(tmp_path).draw_all(PLOTS)
    assert Gallery(tmp_path).draw_all(PLOTS) == first
    assert drawn == [1.0, 2.0]


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_picture_is_drawn_again_and_its_neighbour_is_not(
    seed: int, tmp_path: Path, drawn: list[float]
) -> None:
    first = Gallery(tmp_path).draw_all(PLOTS)
    damage(next(path for path in sorted(tmp_path.rglob("*.kept"))), random.Random(seed))
    again = Gallery(tmp_path).draw_all(PLOTS)
    assert again == first
    assert len(drawn) == 3
    assert Gallery(tmp_path).draw_all(PLOTS) == first
    assert len(drawn) == 3


class Notebook:
    """Workers that draw at once, and say in which order."""

    count = 2

    def __init__(self) -> None:
        self.started: list[float] = []

    def start(self, work: Callable[..., Drawn], item: partial[Figure]) -> Future[Drawn]:
        self.started.append(item.args[0])
        future: Future[Drawn] = Future()
        future.set_result(work(item))
        return future


def test_what_was_begun_early_is_drawn_once_the_largest_first(tmp_path: Path, drawn: list[float]) -> None:
    expected = Gallery(None).draw_all(PLOTS)
    workers = Notebook()
    plots = [PLOTS[0], Plot("high", partial(line, 2.0, "much data" * 9))]
    first = Gallery(tmp_path, workers)  # type: ignore[arg-type]
    first.begin(plots)
    assert workers.started == [2.0, 1.0]
    assert first.draw_all(plots) == expected
    assert drawn == [1.0, 2.0, 2.0, 1.0]


def test_nothing_is_begun_where_drawings_were_kept(tmp_path: Path) -> None:
    Gallery(tmp_path).draw_all(PLOTS)
    workers = Notebook()
    Gallery(tmp_path, workers).begin(PLOTS)  # type: ignore[arg-type]
    assert not workers.started


def damage(path: Path, chance: random.Random) -> None:
    """Flip a bit, or lose the end."""
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if chance.random() < 0.3:
        del content[place:]
    else:
        content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
