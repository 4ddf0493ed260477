"""chpc_train.sh on and off: one line comes and goes, every other one stays byte for byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hpc.support import HANGS
from tests.paths import ROOT
from tests.toolbox.chpcsite import Crontab, copy_toolbox, program

OTHERS = b"""\
# mine \x20

MAILTO=""
  */5 * * * *\t/usr/bin/backup --at 10\\%  \x20
# chpc_train.sh is \xe9t\xe9
*/30 * * * * bash /x/toolbox/chpc_train.sh cron

"""


@pytest.fixture(params=["clone", "100% o'clone (2) für Ann"])
def clone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clone whose cluster, as its ssh says, answers; the crontab's fixture puts that ssh onto the PATH."""
    program(
        tmp_path / "cronbin/ssh",
        f'#!/bin/sh\nenv >{tmp_path}/asked\nexit "$(cat {tmp_path}/answer 2>/dev/null || echo 0)"\n',
    )
    root: Path = tmp_path / request.param
    (root / "toolbox").mkdir(parents=True)
    copy_toolbox(root)
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to(sys.executable)
    settings = (ROOT / "toolbox/chpc.env.example").read_text().replace("YOUR-USER-NAME", "someone")
    (root / "toolbox/chpc.env").write_text(settings)
    return root


def switch(clone: Path, word: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", clone / "toolbox/chpc_train.sh", word],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


def test_on_and_off_leave_every_other_line_byte_for_byte(clone: Path, crontab: Crontab) -> None:
    crontab.run("-", text=OTHERS)
    before = crontab.content
    assert before is not None
    for _ in range(2):
        done = switch(clone, "on", crontab.path)
        assert done.returncode == 0, done.stderr
        assert crontab.content is not None
        assert crontab.content.startswith(before)
        added = crontab.content.removeprefix(before).decode()
        assert added.count("\n") == 1
        assert added.startswith("*/30 * * * * ")
        assert added in done.stdout
    for _ in range(2):
        assert switch(clone, "off", crontab.path).returncode == 0
        assert crontab.content == before
    assert "nothing was changed" in switch(clone, "off", crontab.path).stdout


def test_without_a_crontab_there_is_none_again_after_off(clone: Path, crontab: Crontab) -> None:
    assert switch(clone, "on", crontab.path).returncode == 0
    assert crontab.content is not None
    assert switch(clone, "off", crontab.path).returncode == 0
    assert crontab.content is None


def test_the_entry_is_a_command_that_cron_and_a_shell_read_as_meant(clone: Path, crontab: Crontab) -> None:
    switch(clone, "on", crontab.path)
    assert crontab.content is not None
    command = crontab.content.decode().splitlines()[-1].split(" ", 5)[5]
    # cron takes a bare % for the end of the line, and the backslash away from \\%
    assert "%" not in command.replace("\\%", "")
    program(clone / "toolbox/chpc_train.sh", '#!/bin/sh\necho "$@" >"$(dirname "$0")/called"\n')
    subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], check=True, cwd="/")
    assert (clone / "toolbox/called").read_text() == "cron\n"


def test_on_proves_the_round_as_cron_begins_it_and_keeps_the_path(
    clone: Path, crontab: Crontab, tmp_path: Path
) -> None:
    done = switch(clone, "on", crontab.path)
    assert done.returncode == 0, done.stderr
    environment = dict(line.split("=", 1) for line in (tmp_path / "asked").read_text().splitlines())
    assert environment["PATH"] == f"{tmp_path}/cronbin:/usr/bin:/bin"
    assert set(environment) <= {"HOME", "LOGNAME", "USER", "SHELL", "PATH", "PWD", "OLDPWD", "SHLVL", "LC_CTYPE", "_"}
    (tmp_path / "asked").unlink()
    assert crontab.content is not None
    command = crontab.content.decode().splitlines()[-1].split(" ", 5)[5].replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin", "HOME": "/"}, check=False, timeout=HANGS)
    assert (tmp_path / "asked").exists(), "cron finds the ssh that the terminal found"


def test_on_installs_nothing_where_a_round_would_fail(clone: Path, crontab: Crontab, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text("41")
    done = switch(clone, "on", crontab.path)
    assert done.returncode == 2
    assert "reach failed with exit status 41" in done.stderr
    assert "put the project back on the cluster" in done.stderr
    assert "nothing was installed" in done.stderr
    assert crontab.content is None


def test_two_clones_do_not_touch_each_others_entry(clone: Path, crontab: Crontab, tmp_path: Path) -> None:
    other = tmp_path / "another"
    shutil.copytree(clone, other)
    switch(clone, "on", crontab.path)
    only_first = crontab.content
    switch(other, "on", crontab.path)
    switch(other, "off", crontab.path)
    assert crontab.content == only_first


def test_a_crontab_that_cannot_be_read_is_left_alone(clone: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin/crontab", f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\necho "not allowed" >&2\nexit 1\n')
    for word in ("on", "off"):
        done = switch(clone, word, f"{tmp_path}/bin:{tmp_path}/cronbin:{os.environ['PATH']}")
        assert done.returncode == 2
        assert "left alone: not allowed" in done.stderr
    assert set((tmp_path / "calls").read_text().splitlines()) == {"-l"}


def test_on_refuses_settings_that_are_not_filled_in(clone: Path, crontab: Crontab) -> None:
    shutil.copy(ROOT / "toolbox/chpc.env.example", clone / "toolbox/chpc.env")
    done = switch(clone, "on", crontab.path)
    assert done.returncode == 2
    assert "CHPC_USER" in done.stderr
    assert crontab.content is None
