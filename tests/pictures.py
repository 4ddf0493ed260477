"""The pictures in the documents, made anew: python -m tests.pictures

What kd-hpc status and kd-hpc page show of a campaign half done, drawn by a browser: docs/status.png and docs/page.png.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests import half_done_tree
from tests.hpc.terminal import Terminal
from tests.paths import BIN, ROOT

SECONDS = 1000
COLUMNS, LINES = 80, 24
SHELL = f"stty cols {COLUMNS} rows {LINES}; exec {BIN / 'kd-hpc'} status charlie.toml"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        half_done_tree.make(place / "experiments")
        (place / "experiments/campaign.toml").rename(place / "charlie.toml")
        (place / "status.html").write_text(_drawn(_screen_of(place)))
        subprocess.run([BIN / "kd-hpc", "page", "charlie.toml"], cwd=place, check=True, timeout=SECONDS)
        photograph(place / "status.html", ROOT / "docs/status.png", 780, 480)
        photograph(place / "page.html", ROOT / "docs/page.png", 1200, 1500)


def _screen_of(place: Path) -> str:
    """What the terminal shows, with its colours."""
    with Terminal(["sh", "-c", SHELL], place, keeps_colours=True) as terminal:
        status, screen = terminal.end()
    assert status == 0, screen
    return screen


def _drawn(screen: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(screen.replace("\r", "")), soft_wrap=True)
    page = console.export_html(inline_styles=True)
    return page.replace("<body", '<body style="margin: 16px; font-size: 15px; line-height: 1.25"', 1)


def photograph(page: Path, picture: Path, width: int, height: int) -> None:
    """What a browser shows of `page`, as a PNG."""
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed.")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run(
        [chromium, *options, f"--screenshot={picture}", page.as_uri()],
        check=True,
        timeout=SECONDS,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
