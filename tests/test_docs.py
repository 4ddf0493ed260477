"""The documents tell the truth: every command is in them, and every command in them works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
OUTSIDE = ("bash toolbox/quickstart.sh", "bash toolbox/test.sh")
"""Run by tests/test_quickstart.py (--long), and the command that runs this very test."""
SHORTER = {
    "epochs = 20": "epochs = 3",
    'methods = ["logit", "rkd"]': 'methods = ["logit"]',
    "alphas = [0.25, 0.5, 0.75]": "alphas = [0.5]",
    "seeds = [0, 1]": "seeds = [0]",
}


def commands_of(app: typer.Typer) -> Iterator[tuple[str, str]]:
    """Every command of a program as typed, and its help."""

    def walk(command: object, words: str) -> Iterator[tuple[str, str]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, getattr(command, "help", "") or ""
        for name, child in (inner or {}).items():
            yield from walk(child, f"{words} {name}")

    yield from walk(get_command(app), str(app.info.name))


def all_commands() -> list[tuple[str, str]]:
    from kd_analysis.cli import app as analysis
    from kd_core.cli import app as core
    from kd_hpc.cli import app as hpc

    return [found for app in (hpc, core, analysis) for found in commands_of(app)]


def printed_commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(("command", "text"), all_commands(), ids=lambda value: value if "\n" not in value else "")
def test_every_command_has_help_with_an_example_and_is_in_the_guide(command: str, text: str) -> None:
    assert len(text.split()) >= 5
    assert command in text, "its help shows no example"
    assert any(line.startswith(command) for page in PAGES for line in printed_commands(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_page_works(page: Path, tmp_path: Path) -> None:
    for name in ("campaigns", "toolbox", "packages"):
        if name != "campaigns":
            (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "campaigns").mkdir()
    for campaign in (ROOT / "campaigns").glob("*.toml"):
        text = campaign.read_text()
        for long, short in SHORTER.items():
            text = text.replace(long, short) if campaign.name == "digits.toml" else text
        (tmp_path / "campaigns" / campaign.name).write_text(text)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for line in printed_commands(page):
        if line in OUTSIDE:
            continue
        done = subprocess.run(shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_readme_names_every_folder_there_is() -> None:
    readme = (ROOT / "README.md").read_text()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    folders = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    for folder in folders - {"packages", "docs", "constraints"}:
        assert f"    {folder}/" in readme, folder
    for package in ("kd-hpc", "kd-core", "kd-analysis"):
        assert f"packages/{package}/" in readme


def test_ci_runs_the_command_the_readme_names() -> None:
    assert "bash toolbox/test.sh" in (ROOT / ".ci/run").read_text()
    assert "bash toolbox/test.sh" in (ROOT / "README.md").read_text()


def test_charlie_is_240_runs_and_digits_is_the_quickstart() -> None:
    from kd_hpc.campaign import load_campaign

    charlie = load_campaign(ROOT / "campaigns/charlie.toml").experiments()
    assert len(charlie) == len(set(charlie)) == 240
    assert sum(run.is_pure for run in charlie) == 24
    digits = load_campaign(ROOT / "campaigns/digits.toml").experiments()
    assert len(digits) == 16
    assert "campaigns/digits.toml" in (ROOT / "toolbox/quickstart.sh").read_text()
