"""The morning page of 240 runs in a real browser: true, silent, self-contained, dark, printable, usable by keyboard."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.disk.sealed import seal_object
from kd_hpc.inspection.grid import Mark, mark_of
from kd_hpc.inspection.rows import read_rows
from kd_hpc.page.sections import NAMES
from kd_hpc.store import STATUS, Store
from tests.analysis.browser import PROGRAM, Browser
from tests.half_done_tree import make
from tests.hpc.support import kd_hpc

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here: apt-get install chromium")

INJECTED = "<script>document.title='taken'</script><img src=x onerror=alert(1)> & \"quotes\""


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    make(place / "experiments")
    (place / "experiments/campaign.toml").rename(place / "charlie.toml")
    failed = place / "experiments/TinyImageNet/pure/ResNet112/1" / STATUS
    failed.write_text(json.dumps(seal_object(json.loads(failed.read_text()) | {"reason": INJECTED})))
    before = sorted((place / "experiments").rglob("*"))
    done = kd_hpc("page", "charlie.toml", "-o", "page.html", cwd=place)
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    assert sorted((place / "experiments").rglob("*")) == before, "nothing is written beside the runs"
    return place


@pytest.fixture(scope="module")
def page(half: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(half / "page.html")
        yield browser


def all_of(page: Browser, selector: str, expression: str) -> Any:
    return page.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(at => {expression})")


def test_it_is_one_file_that_asks_for_nothing_and_complains_of_nothing(page: Browser) -> None:
    assert page.console == []
    assert [address for address in page.requests if not address.startswith("data:")] == [page.requests[0]]


def test_what_records_say_is_text_never_markup(page: Browser) -> None:
    assert page.evaluate("document.title") == "charlie: how it stands"
    assert page.evaluate("document.images.length") == 0
    assert any(INJECTED in text for text in all_of(page, ".need p", "at.textContent"))


def test_every_run_has_its_mark_where_it_belongs_and_says_everything(page: Browser, half: Path) -> None:
    rows = {row.label: row for row in read_rows(Store(half / "experiments"), half / "charlie.toml")}
    marks = all_of(
        page, "#grid .mark", "[at.getAttribute('aria-label'), at.className, at.closest('tr').cells[0].textContent]"
    )
    assert len(marks) == 240
    for label, kind, line in marks:
        row = rows[label.split("; ")[0]]
        assert kind == f"mark {mark_of(row).name.lower().replace('_', '-')}"
        assert label.split("; ")[1] == NAMES[mark_of(row)]
        assert line in (row.fields["method"], f"{row.fields['student']} pure")
    counts = Counter(mark_of(row) for row in rows.values())
    chips = all_of(page, ".chips li", "at.textContent")
    assert [int(re.findall(r"\d+", chip)[0]) for chip in chips] == [counts[mark] for mark in Mark if counts[mark]]
    assert page.evaluate("document.querySelector('progress').value") == counts[Mark.COMPLETED]


def test_pointing_at_a_mark_tells_of_it_and_a_click_leads_to_its_line(page: Browser) -> None:
    told = page.evaluate(
        """(() => { const mark = document.querySelectorAll('#grid .mark')[100];
        mark.dispatchEvent(new MouseEvent('mouseenter'));
        return [mark.getAttribute('aria-label'), document.getElementById('told').textContent]; })()"""
    )
    assert told[0] == told[1]
    name = page.evaluate(
        """(() => { const mark = document.querySelectorAll('#grid .mark')[100]; mark.click();
        return [document.getElementById('all').open, document.querySelector(mark.hash).cells[0].textContent]; })()"""
    )
    assert name == [True, told[0].split("; ")[0]]


def test_arrow_keys_walk_the_grid_which_is_one_stop_for_tab(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('#grid .mark[tabindex=\"0\"]').length") == 1
    walked = page.evaluate(
        """(() => { const grid = document.getElementById('grid'); grid.querySelectorAll('.mark')[0].focus();
        const seen = [];
        for (const key of ['ArrowRight', 'ArrowDown', 'ArrowLeft', 'ArrowUp', 'ArrowUp']) {
            document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
            seen.push(document.activeElement.getAttribute('aria-label').split('; ')[0]);
        }
        return seen; })()"""
    )
    teacher, student = ("Cifar10/pure/ResNet112", "Cifar10/pure/ResNet56")
    assert walked == [f"{teacher}/1", f"{student}/1", f"{student}/0", f"{teacher}/0", f"{teacher}/0"]


def test_searching_leaves_the_runs_that_have_every_word(page: Browser) -> None:
    shown = page.evaluate(
        """(() => { const search = document.getElementById('search'); search.value = 'cifar100/ in_progress';
        search.dispatchEvent(new Event('input'));
        const left = [...document.querySelectorAll('#runs tbody tr')].filter(line => !line.hidden);
        search.value = ''; search.dispatchEvent(new Event('input'));
        return left.map(line => line.cells[0].textContent); })()"""
    )
    assert len(shown) == 12
    assert all(label.startswith("Cifar100/") for label in shown)


def test_each_job_at_work_is_drawn_with_a_curve_for_each_of_its_runs(page: Browser) -> None:
    drawn = all_of(page, ".jobs article", "at.querySelectorAll('.chart polyline').length")
    assert sorted(drawn) == [1, 1, *[6] * 8]
    assert all(len(title) > 20 for title in all_of(page, ".chart title", "at.textContent"))
    assert "No word for 7 h 00" in page.evaluate("document.querySelector('.jobs article').textContent")


def test_what_needs_somebody_comes_with_the_command_to_type(page: Browser) -> None:
    commands = all_of(page, ".need .command", "at.textContent")
    assert "kd-hpc retry --anew SVHN/pure/ResNet112/2" in commands
    assert all(command.startswith("kd-hpc ") for command in commands)
    assert len(all_of(page, ".command + button", "at.textContent")) == len(commands)


def test_the_forecast_has_dates(page: Browser) -> None:
    dates = all_of(page, "dd strong", "at.textContent")
    assert len(dates) == 3
    assert all(re.fullmatch(r"[A-Z][a-z]+day \d\d [A-Z][a-z]+ \d{4}, \d\d:\d\d", date) for date in dates)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Browser, scheme: str) -> None:
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    selectors = (
        "p",
        ".soft",
        ".command",
        "td.name, th.name",
        *(f".{mark.name.lower().replace('_', '-')}" for mark in Mark),
    )
    for selector in selectors:
        ink, ground = page.evaluate(
            f"""(() => {{ let at = document.querySelector('{selector}'); const ink = getComputedStyle(at).color;
            const clear = 'rgba(0, 0, 0, 0)';
            while (getComputedStyle(at).backgroundColor === clear) at = at.parentElement;
            return [ink, getComputedStyle(at).backgroundColor]; }})()"""
        )
        assert contrast(ink, ground) >= 4.5, (scheme, selector, ink, ground)
    page.call("Emulation.setEmulatedMedia", features=[])


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two rgb() colours."""
    lights = []
    for colour in (first, second):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_button_turns_the_scheme(page: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.evaluate("document.getElementById('theme').click()")
    after = page.evaluate(ground)
    page.evaluate("document.getElementById('theme').click()")
    assert before != after
    assert page.evaluate(ground) == before


def test_a_narrow_window_scrolls_tables_only(page: Browser) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.call("Emulation.clearDeviceMetricsOverride")


def test_structure_is_what_a_screen_reader_needs(page: Browser) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    levels = all_of(page, "h1, h2, h3", "Number(at.tagName[1])")
    assert levels[0] == 1
    assert all(here - before <= 1 for before, here in pairwise(levels))
    assert page.evaluate("[...document.querySelectorAll('th')].every(head => head.scope)")
    assert page.evaluate(
        "[...document.querySelectorAll('svg')].every(at => at.ariaHidden || at.querySelector('title'))"
    )


def test_paper_is_white_and_shows_every_run_without_buttons(page: Browser) -> None:
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.getElementById('theme')).display") == "none"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")
    content = base64.b64decode(page.call("Page.printToPDF")["data"])
    page.call("Emulation.setEmulatedMedia", media="")
    assert content.startswith(b"%PDF")


def test_a_folder_without_a_campaign_or_a_run_makes_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    done = kd_hpc("page", "-o", "below/page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "below/page.html")
        assert browser.console == []
        assert "0 of 0 runs" in browser.evaluate("document.body.textContent")


def test_a_place_that_cannot_be_written_is_a_usage_error(half: Path) -> None:
    done = kd_hpc("page", "charlie.toml", "-o", "charlie.toml/page.html", cwd=half)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "Name another file with -o." in done.stderr
