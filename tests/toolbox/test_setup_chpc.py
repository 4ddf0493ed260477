"""setup_chpc.sh: from nothing to kd-hpc doctor; killed anywhere it goes on, and it never changes what jobs run from.

The installer is a stand-in (the pins themselves are tested against the index); project code, data and doctor are real.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.campaign import load_campaign
from tests.hpc.support import HANGS
from tests.paths import ROOT
from tests.toolbox.chpcsite import BIN, program

CAMPAIGN = """\
name = "tiny"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
seeds = [0]

[resources]
queue = "gpu_1"
project = "YOUR-PROJECT-CODE" # fill in
memory = "4gb" # project = "YOUR-PROJECT-CODE"
modules = ["site/python/3.12"]
"""
PYTHON = f"""\
#!/bin/bash
here=$(dirname "$0")
case "$*" in
    *"version_info[:2]"*) exit 0 ;;
    *"import torch"*) [ -e "$here/installed" ]; exit ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "venv $3" >>"$CALLS" ;;
    "-m pip "*) cp "$STANDINS/uv" "$here/uv" && echo "pip ${{*: -1}}" >>"$CALLS" ;;
    *) exec {BIN}/python "$@" ;;
esac
"""
UV = """\
#!/bin/bash
here=$(dirname "$0")
echo "uv $*" >>"$CALLS"
if [ -e "$CALLS.kill" ]; then rm "$CALLS.kill"; kill -9 "$PPID"; fi
case "$*" in
    *packages/kd-hpc*) ln -sf "$KD_HPC" "$here/" && ln -sf "$KD_CORE" "$here/kd-core" && touch "$here/installed" ;;
esac
"""


class LoginNode:
    """A clone of the project on a login node; `calls` is what the installers were asked for."""

    def __init__(self, folder: Path, kd_hpc: Path) -> None:
        self.root, self.kd_hpc = folder / "kd", kd_hpc
        self.calls_file = folder / "calls"
        self.bin = folder / "standins"
        (self.root / "toolbox").mkdir(parents=True)
        shutil.copy(ROOT / "toolbox/setup_chpc.sh", self.root / "toolbox")
        shutil.copytree(ROOT / "constraints", self.root / "constraints")
        self.code = self.root / "packages/kd-hpc/src/kd_hpc/file.py"
        self.code.parent.mkdir(parents=True)
        self.code.write_text("a = 1\n")
        (self.root / "packages/kd-hpc/pyproject.toml").touch()
        self.campaign = self.root / "campaigns/charlie.toml"
        self.campaign.parent.mkdir()
        self.campaign.write_text(CAMPAIGN)
        program(self.bin / "python3.12", PYTHON)
        program(self.bin / "uv", UV)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    @property
    def venv(self) -> Path:
        return (self.root / ".venv").resolve()

    def environment(self, **changes: str) -> dict[str, str]:
        path = f"{self.bin}:{os.environ['PATH']}"
        plain = {"KD_CORE": "/bin/true"}  # starting the real one takes seconds
        return {
            **os.environ,
            **plain,
            "KD_HPC": str(self.kd_hpc),
            "PATH": path,
            "CALLS": str(self.calls_file),
            "STANDINS": str(self.bin),
            **changes,
        }

    def set_up(self, *words: str, stdin: int = subprocess.DEVNULL, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "toolbox/setup_chpc.sh", *words],
            cwd=self.root,
            env=self.environment(**changes),
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )


@pytest.fixture
def node(tmp_path: Path, warm_kd_hpc: Path) -> LoginNode:
    return LoginNode(tmp_path, warm_kd_hpc)


def module(body: str) -> dict[str, Any]:
    """An environment in which the command `module` is the shell function with this body."""
    return {"BASH_FUNC_module%%": body}


def with_module(node: LoginNode, name: str) -> str:
    return f'() {{ [ "$1 $2" = "load {name}" ] && PATH={node.bin}/loaded:$PATH; }}'


def test_from_nothing_to_a_content_doctor_and_again_for_nothing(node: LoginNode, warm_programs: Path) -> None:
    environment = {**module("() { :; }"), "KD_CORE": str(warm_programs / "kd-core")}
    done = node.set_up("campaigns/charlie.toml", "ABCD1234", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none of" in done.stderr
    assert done.stdout.splitlines()[-1] == "Ready. Type: .venv/bin/kd-hpc queue campaigns/charlie.toml --dry-run"
    first, data = node.calls, {path: path.stat().st_mtime_ns for path in (node.root / "data").rglob("*")}
    assert [call.split()[0] for call in first] == ["venv", "pip", "uv", "uv"]
    assert "-r constraints/v100.txt" in first[2]
    assert data
    assert node.set_up(**environment).returncode == 0
    assert node.calls == first
    assert {path: path.stat().st_mtime_ns for path in (node.root / "data").rglob("*")} == data


def test_killed_while_installing_it_shows_no_environment_and_then_goes_on(node: LoginNode) -> None:
    node.calls_file.with_name("calls.kill").touch()
    assert node.set_up("campaigns/charlie.toml", "ABCD1234").returncode == -9
    assert not (node.root / ".venv").exists()
    node.set_up()
    assert (node.venv / ".complete").exists()
    assert (node.venv / "bin/kd-hpc").exists()


def test_an_environment_that_a_sweep_has_holed_is_mended(node: LoginNode) -> None:
    node.set_up("campaigns/charlie.toml", "ABCD1234")
    before = node.venv
    (before / "bin/installed").unlink()
    node.set_up()
    assert node.venv == before
    assert (before / "bin/installed").exists()


def test_new_code_gets_a_folder_of_its_own_and_waiting_jobs_keep_theirs(node: LoginNode) -> None:
    node.set_up("campaigns/charlie.toml", "ABCD1234")
    old = node.venv
    files = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    node.code.write_text("a = 2\n")
    node.set_up()
    assert node.venv != old
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == files


def test_the_project_code_is_written_into_the_site_file_and_no_other(node: LoginNode) -> None:
    site = node.root / "site.toml"
    node.set_up("campaigns/charlie.toml", "ABCD1234")
    assert node.campaign.read_text() == CAMPAIGN
    assert load_campaign(node.campaign).resources.project == "ABCD1234"
    site.write_text(f'{site.read_text()}modules = ["mine"]\n')
    node.set_up()
    assert load_campaign(node.campaign).resources.project == "ABCD1234"
    node.set_up("campaigns/charlie.toml", "WXYZ0001")
    found = load_campaign(node.campaign).resources
    assert (found.project, found.modules) == ("WXYZ0001", ("site/python/3.12",))
    assert site.read_text().count("project") == 1
    assert 'modules = ["mine"]' in site.read_text()


def test_without_a_terminal_a_missing_project_code_is_refused(node: LoginNode) -> None:
    done = node.set_up()
    assert done.returncode == 2
    assert "Type: bash toolbox/setup_chpc.sh campaigns/charlie.toml ABCD1234" in done.stderr
    assert node.calls == []


def test_on_a_terminal_the_project_code_is_asked_for(node: LoginNode) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, b"WXYZ0001\n")
    node.set_up(stdin=terminal)
    os.close(controller)
    os.close(terminal)
    assert 'project = "WXYZ0001"' in (node.root / "site.toml").read_text()


@pytest.mark.parametrize("code", ['A"; rm', "A/B", "A&B", "-P"])
def test_what_is_no_project_code_is_refused(node: LoginNode, code: str) -> None:
    assert node.set_up("campaigns/charlie.toml", code).returncode == 2
    assert not (node.root / "site.toml").exists()


def test_python_is_taken_from_the_module_that_the_campaign_names(node: LoginNode) -> None:
    (node.bin / "loaded").mkdir()
    (node.bin / "python3.12").rename(node.bin / "loaded/python3.12")
    for name in ("python3.12", "python3"):
        program(node.bin / name, "#!/bin/sh\nexit 1\n")
    done = node.set_up("campaigns/charlie.toml", "ABCD1234", **module("() { :; }"))
    assert done.returncode == 2
    assert "Python 3.12 is needed and not found" in done.stderr
    node.set_up(**module(with_module(node, "site/python/3.12")))
    assert (node.venv / ".complete").exists()


def test_an_environment_of_another_kind_is_not_replaced(node: LoginNode) -> None:
    (node.root / ".venv").mkdir()
    done = node.set_up("campaigns/charlie.toml", "ABCD1234")
    assert done.returncode == 2
    assert "mv .venv .venv-before" in done.stderr
