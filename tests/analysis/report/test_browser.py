"""The report in a real browser: silent console, no request, reachable sections, sorting, dark, light, print."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.analysis.browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here: apt-get install chromium")

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
OPEN = "document.querySelectorAll('main details').forEach(fold => { fold.open = true; })"
SHUT = OPEN.replace("true", "false")


@pytest.fixture(scope="module")
def page(of_beta: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(of_beta / "report.html")
        browser.evaluate(OPEN)
        yield browser


def test_the_console_is_silent_and_no_request_leaves_the_page(page: Browser) -> None:
    assert page.console == []
    outside = [address for address in page.requests if not address.startswith(("data:", "file:"))]
    assert outside == []
    assert sum(address.startswith("file:") for address in page.requests) == 1


def test_every_figure_is_drawn_and_says_in_words_what_it_shows(page: Browser) -> None:
    drawings = page.evaluate(
        """[...document.querySelectorAll('.drawing > *')].map(drawing => [drawing.getBoundingClientRect().width,
        drawing.tagName === 'IMG' ? drawing.complete && drawing.naturalWidth > 200 : drawing.children.length > 0,
        (drawing.alt || drawing.ariaLabel).length])"""
    )
    assert len(drawings) >= 8
    assert all(width > 200 and drawn and words > 20 for width, drawn, words in drawings)


def test_values_show_where_the_pointer_rests(page: Browser) -> None:
    titles = page.evaluate("[...document.querySelectorAll('#figure-forest title')].map(title => title.textContent)")
    assert any(title.startswith("Logit KD 0.5: +0.70 [") and ", n=3, " in title for title in titles)


def test_ids_are_unique_and_what_figures_refer_to_is_there(page: Browser) -> None:
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(set(ids)) == len(ids)
    used = page.evaluate("[...document.querySelectorAll('use')].map(use => use.getAttribute('href').slice(1))")
    assert set(used) <= set(ids)


def test_sections_fold_and_a_link_or_a_key_opens_them(page: Browser) -> None:
    page.evaluate(SHUT)
    closed = "[...document.querySelectorAll('main details')].filter(fold => !fold.open).length"
    every = page.evaluate(closed)
    assert every >= 10
    page.evaluate("document.querySelector('nav a[href=\"#ledger\"]').click()")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate("document.querySelector('#ledger details').open") is True
    page.evaluate("document.querySelector('#triage summary').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert page.evaluate("document.querySelector('#triage details').open") is True
    page.evaluate("document.getElementById('unfold').click()")
    assert page.evaluate(closed) == 0
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate("document.getElementById('unfold').textContent") == "Close all"


def test_the_page_has_landmarks_one_title_and_headings_in_order(page: Browser) -> None:
    counts = page.evaluate("['main', 'nav[aria-label]', 'h1', '.skip'].map(s => document.querySelectorAll(s).length)")
    assert counts == [1, 1, 1, 1]
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(head => Number(head.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    unnamed = """[...document.querySelectorAll('section')]
        .filter(section => !document.getElementById(section.getAttribute('aria-labelledby'))).length"""
    assert page.evaluate(unnamed) == 0


def test_the_first_screen_is_short(page: Browser) -> None:
    page.evaluate(SHUT)
    words = page.evaluate("document.querySelector('main').innerText.split(/\\s+/).length")
    page.evaluate(OPEN)
    assert words < 1500


def test_every_section_is_reachable_from_the_table_of_contents(page: Browser) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.getAttribute('href').slice(1))")
    sections = page.evaluate("[...document.querySelectorAll('main section')].map(section => section.id)")
    assert links == sections
    assert len(set(sections)) == len(sections) >= 10


@pytest.mark.parametrize(("column", "numeric"), [("last (%)", True), ("verdict", False)])
def test_a_click_on_a_heading_sorts_and_a_second_one_reverses(page: Browser, column: str, numeric: bool) -> None:
    script = f"""(() => {{
        const table = document.querySelector('#table-runs_short table');
        const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent.trim() === '{column}');
        table.tHead.rows[0].cells[place].querySelector('button').click();
        const order = table.tHead.rows[0].cells[place].getAttribute('aria-sort');
        return [order, [...table.tBodies[0].rows].map(row => row.cells[place].dataset.sort)];
    }})()"""
    orders = {}
    for _ in range(2):
        order, values = page.evaluate(script)
        known = [float(value) if numeric else value for value in values if value]
        orders[order] = known
        assert values[len(known) :] == [""] * (len(values) - len(known)), "missing values come last"
    assert orders["ascending"] == sorted(orders["ascending"])
    assert orders["descending"] == sorted(orders["descending"], reverse=True)


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_readers_scheme_and_the_button_turns_it(page: Browser, scheme: str, dark: bool) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.evaluate("delete document.documentElement.dataset.theme")
    first = page.evaluate(BACKGROUND)
    page.evaluate("document.getElementById('theme').click()")
    second = page.evaluate(BACKGROUND)
    page.evaluate("delete document.documentElement.dataset.theme")
    assert _is_dark(first) is dark
    assert _is_dark(second) is not dark


def _is_dark(colour: str) -> bool:
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) < 300


def test_text_stands_out_from_its_ground_in_both_schemes(page: Browser) -> None:
    for scheme in ("light", "dark"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for selector in ("p", ".subtitle", "figcaption", "nav a", "td", ".warning", "summary h2", ".tools button"):
            colours = page.evaluate(
                f"""(() => {{
                    let at = document.querySelector('{selector}');
                    const ink = getComputedStyle(at).color;
                    const clear = 'rgba(0, 0, 0, 0)';
                    while (getComputedStyle(at).backgroundColor === clear) at = at.parentElement;
                    return [ink, getComputedStyle(at).backgroundColor];
                }})()"""
            )
            assert _contrast(*colours) >= 4.5, (scheme, selector, colours)


def _contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two rgb() colours."""
    lights = []
    for colour in (first, second):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_on_a_small_screen_the_story_comes_before_the_contents(page: Browser, of_beta: Path) -> None:
    page.evaluate(SHUT)
    for width, folded in ((400, True), (1400, False)):
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        page.open(of_beta / "report.html")
        assert page.evaluate("!document.getElementById('contents').open") is folded
        assert page.evaluate("document.getElementById('summary').getBoundingClientRect().top") < 400
    page.call("Emulation.clearDeviceMetricsOverride")
    page.evaluate(OPEN)


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_nothing_is_wider_than_the_window_but_tables_that_scroll(page: Browser, width: int) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.call("Emulation.clearDeviceMetricsOverride")


CUT_FIGURES = """[...document.querySelectorAll('figure')].filter(figure => figure.getBoundingClientRect().height > 700
    || getComputedStyle(figure).overflowY !== 'visible').map(figure => figure.innerText)"""


def test_it_prints_everything_on_white_and_no_table_runs_for_pages(page: Browser) -> None:
    page.evaluate(SHUT)
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.getElementById('theme')).display") == "none" or page.evaluate(
        "document.getElementById('theme').getClientRects().length === 0"
    )
    page.call("Emulation.setDeviceMetricsOverride", width=1030, height=700, deviceScaleFactor=1, mobile=False)
    heights = page.evaluate(
        "[...document.querySelectorAll('table')].map(table => table.getBoundingClientRect().height)"
    )
    assert max(heights) < 3 * 700
    narrow = """[...document.querySelectorAll('td')].filter(cell => cell.innerText.length > 60
        && cell.getBoundingClientRect().width < 90).map(cell => cell.innerText)"""
    assert page.evaluate(narrow) == [], "a column one word wide"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1030, "a table is cut off"
    assert page.evaluate("getComputedStyle(document.querySelector('thead button')).display") == "contents", (
        "a button in a head is printed on the table's first page alone"
    )
    for width in (1030, 800):  # rules for small screens may hold on paper
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=False)
        assert page.evaluate(CUT_FIGURES) == []
    page.call("Emulation.clearDeviceMetricsOverride")
    content = base64.b64decode(page.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.call("Emulation.setEmulatedMedia", media="")
    page.evaluate(OPEN)
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
