"""The report in a real browser: silent console, no request, reachable sections, sorting, dark, light, print."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.analysis.browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here: apt-get install chromium")

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def page(beta: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    root = tmp_path_factory.mktemp("browser")
    program = [sys.executable, "-c", "from kd_analysis.cli import main; main()"]
    words = ["report", beta, "-o", root / "report", "--cache", shared_cache, "--workers", "1"]
    subprocess.run([*program, *map(str, words)], check=True, capture_output=True)
    with Browser(root / "profile") as browser:
        browser.open(root / "report" / "report.html")
        yield browser


def test_the_console_is_silent_and_no_request_leaves_the_page(page: Browser) -> None:
    assert page.console == []
    outside = [address for address in page.requests if not address.startswith(("data:", "file:"))]
    assert outside == []
    assert sum(address.startswith("file:") for address in page.requests) == 1


def test_every_figure_is_drawn(page: Browser) -> None:
    images = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth, image.alt.length])")
    assert len(images) >= 8
    assert all(complete and width > 200 and alt > 20 for complete, width, alt in images)


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
        for selector in ("p", ".subtitle", "figcaption", "nav a", "td", ".warning"):
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


def test_nothing_is_wider_than_a_narrow_window_but_tables_that_scroll(page: Browser) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.call("Emulation.clearDeviceMetricsOverride")


def test_it_prints_whole_tables_on_white(page: Browser) -> None:
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    hidden = "[...document.querySelectorAll('.table')].some(box => box.scrollHeight > box.clientHeight + 1)"
    assert page.evaluate(hidden) is False
    assert page.evaluate("getComputedStyle(document.getElementById('theme')).display") == "none"
    content = base64.b64decode(page.call("Page.printToPDF")["data"])
    page.call("Emulation.setEmulatedMedia", media="")
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
