"""Ctrl-C says that nothing is lost, whatever command it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.ctrl_c import press_ctrl_c
from tests.hpc.support import wait_until
from tests.paths import BIN


@pytest.mark.parametrize("program", ["kd-hpc", "kd-core", "kd-analysis"])
def test_ctrl_c_says_that_the_same_command_goes_on(program: str, tmp_path: Path) -> None:
    """Each program with one command that takes for ever and says when it has begun."""
    package = program.replace("-", "_")
    held = (
        "import time; from pathlib import Path\n"
        f"from {package} import cli\n"
        "def hold() -> None:\n"
        "    Path('begun').touch(); time.sleep(1000)\n"
        "cli.app.command('hold')(hold)\n"
        "import sys; sys.argv = ['x', 'hold']\n"
        "cli.main()\n"
    )
    process = subprocess.Popen(
        [BIN / "python", "-c", held], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until((tmp_path / "begun").exists)
        _, said = press_ctrl_c(process)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said == f"\n{program}: interrupted. Nothing is lost: the same command goes on from here.\n"
