"""The three wheels as a stranger installs them: built, put into a fresh environment, used far from the repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pydantic
import pytest

from tests.added_package import write_source
from tests.paths import BIN, ROOT

HEAVY = Path(pydantic.__file__).parents[1]
"""Where torch and all the others are installed; the environment reads them from there."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Each built from its source distribution, so that this is whole, too."""
    folder = tmp_path_factory.mktemp("dist")
    words = ["build", "--all-packages", "--no-build-isolation", "--offline", "--out-dir", str(folder)]
    run([BIN / "uv", *words, "--python", sys.executable], ROOT)
    assert len(list(folder.glob("*.tar.gz"))) == 3
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    run([BIN / "uv", "pip", "install", "--no-deps", "--offline", "--python", folder / "bin/python", *wheels], folder)
    (site,) = folder.glob("lib/python3.*/site-packages")
    (site / "heavy.pth").write_text(f"{HEAVY}\n")
    return folder


def run(command: list[str | Path], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_holds_every_file_of_its_package_and_the_licence(wheels: list[Path]) -> None:
    for wheel in wheels:
        package = wheel.name.partition("-")[0]
        (source,) = ROOT.glob(f"packages/*/src/{package}")
        files = {str(path.relative_to(source.parent)) for path in source.rglob("*") if path.is_file()}
        names = set(zipfile.ZipFile(wheel).namelist())
        assert {name for name in names if name.startswith(f"{package}/")} == {
            f for f in files if "__pycache__" not in f
        }
        assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_installed_programs_help_train_and_report_far_from_the_repository(environment: Path, tmp_path: Path) -> None:
    for program in ("kd-hpc", "kd-core", "kd-analysis"):
        assert f"Usage: {program}" in run([environment / "bin" / program, "--help"], tmp_path)
    where = run([environment / "bin/python", "-c", "import kd_core, kd_hpc; print(kd_core.__file__)"], tmp_path)
    assert where.startswith(str(environment))
    words = "train --dataset Digits --model ResNetBaby --seed 0 --epochs 1 --batch-size 256 --device cpu"
    run([environment / "bin/kd-core", *words.split()], tmp_path)
    assert "Digits/pure/ResNetBaby/0" in run([environment / "bin/kd-hpc", "why", "Digits/pure/ResNetBaby/0"], tmp_path)
    run([environment / "bin/kd-analysis", "report", "experiments", "-o", "report", "--no-pdf"], tmp_path)
    assert "ResNetBaby" in (tmp_path / "report/report.html").read_text()
    # and somebody's own package beside them
    source = write_source(tmp_path / "kd-overlap")
    how: list[str | Path] = ["--no-deps", "--offline", "--no-build-isolation", "--python", environment / "bin/python"]
    run([BIN / "uv", "pip", "install", *how, source], tmp_path)
    assert "overlap 2" in run([environment / "bin/kd-core", "methods"], tmp_path)
