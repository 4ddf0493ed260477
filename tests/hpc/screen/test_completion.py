"""Tab in a real bash and a real zsh: commands, options, names, runs, files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from kd_hpc.cli import app
from kd_hpc.screen.completion import script
from tests.hpc.support import kd_hpc
from tests.hpc.terminal import SECONDS, Terminal
from tests.paths import ROOT

RUN = "Digits/pure/ResNet20/0"
SHELLS = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"]}
TABS = {
    "kd-hpc sta": "kd-hpc status",
    "kd-hpc status --exp": "kd-hpc status --experiments",
    "kd-hpc retry --state unr": "kd-hpc retry --state unreadable",
    "kd-hpc status Digits/pure/ResN": f"kd-hpc status {RUN[:-1]}",
    "kd-hpc why --experiments other Dig": "kd-hpc why --experiments other Digits2/",
    "kd-hpc queue camp": "kd-hpc queue campaigns/",
    "kd-hpc queue --experiments oth": "kd-hpc queue --experiments other",
    "kd-hpc init --teacher ResNetB": "kd-hpc init --teacher ResNetBaby",
    "kd-hpc completion --": "kd-hpc completion --help",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    for folder in (f"experiments/{RUN}", "other/Digits2/pure", "campaigns"):
        (place / folder).mkdir(parents=True)
    for shell in SHELLS:
        (place / f"complete.{shell}").write_text(script(shell, "kd-hpc", get_command(app)))
    return place


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_goes_on_with_what_was_begun(shell: str, place: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with Terminal([shell, *SHELLS[shell]], place) as terminal:
        terminal.type(f"PS1='> '; source complete.{shell}; echo re''ady\r")
        terminal.wait_for("ready")
        for typed, line in TABS.items():
            terminal.type(f"{typed}\t")
            terminal.wait_for(re.escape(line))
            terminal.type("\x15")


def test_every_program_prints_it_and_another_shell_is_told_which_there_are(tmp_path: Path) -> None:
    from kd_analysis.cli import app as analysis
    from kd_core.cli import app as core

    for other in (core, analysis):
        text = script("bash", str(other.info.name), get_command(other))
        checked = subprocess.run(
            ["bash", "-n"], input=text, text=True, capture_output=True, timeout=SECONDS, check=True
        )
        assert checked.stderr == ""
    assert kd_hpc("completion", "zsh", cwd=tmp_path).stdout == script("zsh", "kd-hpc", get_command(app))
    fish = kd_hpc("completion", "fish", cwd=tmp_path)
    assert (fish.returncode, fish.stderr) == (
        2,
        "kd-hpc: fish cannot be helped. Name one of these: bash, zsh.\n",
    )


def test_ci_installs_zsh_so_that_nothing_is_skipped() -> None:
    assert " zsh" in (ROOT / ".ci/run").read_text()
