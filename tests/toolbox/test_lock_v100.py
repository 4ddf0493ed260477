"""constraints/v100.txt is what the package index gives for Python 3.12 and glibc 2.17, wheels only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.paths import ROOT

LOCKED = (ROOT / "constraints/v100.txt").read_text()
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCKED, flags=re.MULTILINE))
UV = Path(sys.executable).with_name("uv")
TARGET = ["--no-config", "--python-version", "3.12", "--python-platform", "x86_64-manylinux2014"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if any(sign in done.stderr for sign in ("Failed to fetch", "error sending request", "dns error")):
        pytest.skip("the package index cannot be reached")
    return done


def install(pins: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["--only-binary", ":all:", "--target", str(folder), "--dry-run", "--python", sys.executable]
    return run(UV, "pip", "install", *TARGET, *options, "-r", pins)


def test_the_pins_are_those_that_a_v100_at_this_site_can_run() -> None:
    wanted = {"torch": "2.6.0", "torchvision": "0.21.0", "triton": "3.2.0", "numpy": "2.2.6", "scipy": "1.16.3"}
    assert wanted.items() <= PINS.items()
    assert PINS["scikit-learn"] == "1.7.2"
    assert PINS["matplotlib"].startswith("3.11.")
    assert PINS["pillow"].startswith("12.2.")


def test_every_pin_has_its_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", LOCKED.strip())
    assert len(blocks) == len(PINS)
    for block in blocks:
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", block), block.partition(" ")[0]


def test_a_wheel_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\n")
    options = ["--only-binary", ":all:", "--target", str(tmp_path / "there"), "--python", sys.executable]
    done = run(UV, "pip", "install", "--no-config", "--no-deps", "--require-hashes", *options, "-r", wrong)
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr


def test_every_requirement_of_the_packages_and_uv_of_this_house_is_pinned() -> None:
    for file in ROOT.glob("packages/*/pyproject.toml"):
        for requirement in tomllib.loads(file.read_text())["project"]["dependencies"]:
            assert requirement == "kd-hpc" or requirement.split(">")[0] in PINS
    assert f"UV_VERSION={PINS['uv']}" in (ROOT / "toolbox/setup.sh").read_text()


def test_the_pins_install_together_where_they_are_meant_to(tmp_path: Path) -> None:
    done = install(ROOT / "constraints/v100.txt", tmp_path)
    assert done.returncode == 0, done.stderr
    installed = {line.removeprefix(" + ") for line in done.stderr.splitlines() if line.startswith(" + ")}
    assert installed == {f"{name}=={version}" for name, version in PINS.items()}


def test_a_pin_that_this_site_cannot_have_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("numpy==2.4.6\n")
    done = install(wrong, tmp_path)
    assert done.returncode != 0
    assert "Wheels are required for `numpy`" in done.stderr


def test_locking_again_changes_nothing() -> None:
    done = run("bash", "toolbox/lock_v100.sh", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
