"""Curves of test accuracy over epochs, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kd_hpc.page.markup import Markup, join, tag

WIDTH, HEIGHT = 300, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 6, 8, 18
STYLES = 7
"""Kinds of lines in page.css; a further curve begins again at the first."""


@dataclass(frozen=True)
class Curve:
    """`values[i]` is the test accuracy, in percent, after epoch i + 1; gaps are NaN."""

    name: str
    values: Sequence[float]


def chart(curves: Sequence[Curve], epochs: int, described: str) -> Markup:
    """Curves over `epochs` epochs, with a scale that holds them all; `described` is for those who cannot see it."""
    known = [value for curve in curves for value in curve.values if math.isfinite(value)]
    low, high = _scale(known)
    lines = [
        tag("polyline", points=points, class_=f"curve curve-{place % STYLES}")
        for place, curve in enumerate(curves)
        for points in _segments(curve.values, epochs, low, high)
    ]
    return tag(
        "svg",
        tag("title", described),
        *_frame(low, high, epochs),
        *lines,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
    )


def legend(curves: Sequence[Curve]) -> Markup:
    """Each curve's name with its line and its last value."""
    return tag("ul", *(_entry(place, curve) for place, curve in enumerate(curves)), class_="legend")


def _entry(place: int, curve: Curve) -> Markup:
    line = tag("polyline", points="0,5 22,5", class_=f"curve curve-{place % STYLES}")
    last = next((value for value in reversed(curve.values) if math.isfinite(value)), None)
    said = "no epoch yet" if last is None else f"{last:.2f} %"
    return tag("li", tag("svg", line, viewBox="0 0 22 10", class_="key", aria_hidden="true"), f" {curve.name} {said}")


def _scale(known: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest accuracy of the axis, in whole tens."""
    if not known:
        return 0.0, 100.0
    low, high = max(0, 10 * math.floor(min(known) / 10)), 10 * math.ceil(max(known) / 10)
    return float(low), float(max(high, low + 10))


def _segments(values: Sequence[float], epochs: int, low: float, high: float) -> list[str]:
    """The points of each stretch without a gap; of one epoch alone, a short dash."""
    stretches: list[list[str]] = [[]]
    for epoch, value in enumerate(values, start=1):
        if math.isfinite(value):
            stretches[-1].append(f"{_x(epoch, epochs):.1f},{_y(value, low, high):.1f}")
        elif stretches[-1]:
            stretches.append([])
    return [" ".join(points if len(points) > 1 else points * 2) for points in stretches if points]


def _frame(low: float, high: float, epochs: int) -> list[Markup]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    marks = [
        join(
            (
                tag("line", x1=_LEFT, x2=right, y1=_y(value, low, high), y2=_y(value, low, high), class_="rule"),
                tag("text", f"{value:g} %", x=_LEFT - 4, y=_y(value, low, high) + 3, text_anchor="end"),
            )
        )
        for value in (low, (low + high) / 2, high)
    ]
    ends = [
        tag("text", "epoch 1", x=_LEFT, y=bottom + 14),
        tag("text", str(epochs), x=right, y=bottom + 14, text_anchor="end"),
    ]
    return [*marks, *ends]


def _x(epoch: int, epochs: int) -> float:
    share = (epoch - 1) / max(1, epochs - 1)
    return _LEFT + min(1.0, share) * (WIDTH - _LEFT - _RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
