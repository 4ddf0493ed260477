"""Text never becomes markup; curves are drawn where their numbers are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from kd_hpc.page.charts import HEIGHT, WIDTH, Curve, chart, legend
from kd_hpc.page.markup import Markup, join, tag

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


@given(WORDS, WORDS)
def test_whatever_text_goes_in_comes_out_as_text(content: str, value: str) -> None:
    element = ElementTree.fromstring(tag("p", content, tag("b", content), title=value))
    assert (element.text or "") == content
    assert "".join(element.itertext()) == content * 2
    assert element.attrib == {"title": value}


def test_markup_stays_markup_and_absent_attributes_are_left_away() -> None:
    assert tag("p", Markup("<br>"), "<br>", None) == "<p><br>&lt;br&gt;</p>"
    assert tag("td", class_="a", for_="b", aria_label="c", hidden=True, title=None, open=False) == (
        '<td class="a" for="b" aria-label="c" hidden></td>'
    )
    assert tag("br") == "<br>"
    assert join(["a", tag("i"), "&"], " ") == "a <i></i> &amp;"
    assert isinstance(Markup("<b>") + "<", Markup)
    assert Markup("<b>") + "<" == "<b>&lt;"


def points(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in found]  # type: ignore[misc]


def test_a_curve_runs_from_the_first_to_the_last_epoch_and_higher_is_better() -> None:
    (line,) = points(chart([Curve("logit", [10.0, 20.0, 30.0])], 3, "described"))
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert [y for _, y in line] == sorted((y for _, y in line), reverse=True)
    assert line[0][0] > 30
    assert line[-1][0] > WIDTH - 10
    assert line[0][1] == 112.0, "10 % is the axis itself"
    assert line[-1][1] == 8.0, "30 % is the top"


@given(st.lists(st.one_of(st.floats(0, 100), st.just(math.nan)), max_size=40), st.integers(1, 40))
def test_no_point_leaves_the_picture_and_gaps_are_not_bridged(values: list[float], epochs: int) -> None:
    lines = points(chart([Curve("x", values)], epochs, "described"))
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for line in lines for x, y in line)
    known = [math.isfinite(value) for value in values]
    stretches = sum(here and not before for before, here in zip([False, *known], known, strict=False))
    assert len(lines) == stretches


def test_the_legend_gives_the_last_known_value() -> None:
    text = legend([Curve("rkd 0.5", [1.0, 71.234, math.nan]), Curve("nst 1", [])])
    assert "rkd 0.5 71.23 %" in text
    assert "nst 1 no epoch yet" in text
