"""setup.sh: what people need and no more; a damaged .venv is mended, a sound one left alone; torch from another index.

Installers, build backend and our three packages are real; what is heavy is a stand-in of a few bytes, for which the
programs find the real one of this environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from tests.paths import BIN, ROOT
from tests.toolbox.standin_index import Index

PINS = dict(
    pin.split("==")
    for pin in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
)
REAL = ("uv", "hatchling", "editables", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
OURS = ("kd_hpc", "kd_core", "kd_analysis")
SITE = Path(pydantic.__file__).parents[1]
LIBRARY = {"torch/lib/libtorch.so": bytes(5000), "torch/version.py": b"cuda = None\n"}


class Clone:
    """The project on a machine without anything, and an index to install from."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "kd", folder / "home"
        shutil.copytree(ROOT / "packages", self.root / "packages", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "toolbox").mkdir()
        for path in ("pyproject.toml", "README.md", "toolbox/setup.sh", "toolbox/damaged.py"):
            shutil.copy(ROOT / path, self.root / path)
        self.index, self.cpu_index = Index(folder / "index"), Index(folder / "cpu-index")
        self._fill()

    def _fill(self) -> None:
        for name in REAL:
            self.index.add_installed(name)
        for name in PINS.keys() - set(REAL):
            requires = ["nvidia-cublas", "triton"] if name == "torch" else []
            files = LIBRARY if name == "torch" else {f"standin_{name.replace('-', '_')}.py": b""}
            if name == "pydantic":
                files = {"real_packages.pth": f"{SITE}\n".encode()}
            self.index.add(name, PINS[name], requires=requires, files=files)
        self.cpu_index.add("torch", f"{PINS['torch']}+cpu", files=LIBRARY)

    @property
    def site(self) -> Path:
        (found,) = self.root.glob(".venv/lib/python3.*/site-packages")
        return found

    @property
    def installed(self) -> dict[str, str]:
        """Versions by name."""
        return dict(path.stem.split("-") for path in self.site.glob("*.dist-info"))

    def files(self) -> dict[str, int]:
        """Sizes of all installed files by path; compiled ones come and go."""
        paths = (path for path in (self.root / ".venv").rglob("*") if "__pycache__" not in path.parts)
        return {str(path.relative_to(self.root)): path.stat().st_size for path in paths if path.is_file()}

    def set_up(self, *words: str, **environment: str) -> str:
        """What setup.sh says, having succeeded."""
        self.home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        indexes = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index.url, "UV_DEFAULT_INDEX": self.index.url}
        done = subprocess.run(
            ["bash", "toolbox/setup.sh", *words],
            cwd=self.root,
            env={**kept, **indexes, "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def offline(self) -> tuple[int, str]:
        """Exit status and what setup.sh says in a clone that reaches no index."""
        environment = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "UV_HTTP_RETRIES": "0",
            "HOME": str(self.home),
        }
        nobody = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}
        done = subprocess.run(
            ["bash", "toolbox/setup.sh"],
            cwd=self.root,
            env={"PATH": os.environ["PATH"], **environment, **nobody},
            capture_output=True,
            text=True,
            timeout=600,
        )
        return done.returncode, done.stderr

    def versions(self) -> list[str]:
        programs = ("kd-hpc", "kd-core", "kd-analysis")
        run = (subprocess.run([self.root / ".venv/bin" / name, "--version"], capture_output=True) for name in programs)
        return [done.stdout.decode().strip() for done in run]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = Clone(tmp_path_factory.mktemp("clone"))
    made.set_up()
    return made


def test_people_get_the_three_programs_and_no_developers_tools(clone: Clone) -> None:
    assert [version.split()[0] for version in clone.versions()] == ["kd-hpc", "kd-core", "kd-analysis"]
    assert {"torch", "nvidia_cublas", "typer"} <= clone.installed.keys()
    assert not {"pytest", "mypy", "ruff", "hatchling"} & clone.installed.keys()
    others = {name: clone.installed[name] for name in clone.installed.keys() - {"pip", "setuptools", *OURS}}
    assert others == {name: PINS[name.replace("_", "-")] for name in others}


def test_a_sound_environment_is_left_as_it_is(clone: Clone) -> None:
    stamp = clone.root / ".venv/.set-up"
    before = stamp.stat().st_mtime_ns
    assert clone.set_up() == ""
    assert stamp.stat().st_mtime_ns == before


def test_without_a_network_that_is_what_is_said_and_the_same_command_goes_on(clone: Clone) -> None:
    (clone.root / ".venv/.set-up").write_text("of other code\n")
    (clone.site / "standin_rich.py").unlink()
    shutil.rmtree(clone.home / ".cache", ignore_errors=True)
    status, said = clone.offline()
    assert status == 1
    assert "setup: offline: packages come from an index on the network" in said
    assert "then type the same again" in said
    assert clone.versions()[0].startswith("kd-hpc"), "what is installed stays"
    clone.set_up()
    assert (clone.site / "standin_rich.py").exists()


def _truncate(path: Path) -> None:
    with path.open("r+b") as stream:  # in place: the installer's cache may hold the same file
        stream.truncate(10)


def _scattered_losses(clone: Clone) -> None:
    _truncate(clone.site / "torch/lib/libtorch.so")
    (clone.site / "standin_rich.py").unlink()
    (clone.root / ".venv/bin/kd-core").unlink()
    (clone.site / f"numpy-{PINS['numpy']}.dist-info/RECORD").write_bytes(b"")
    shutil.rmtree(clone.site / f"typer-{PINS['typer']}.dist-info")
    (clone.site / "standin_typer.py").unlink()


def _interpreter_gone(clone: Clone) -> None:
    (clone.root / ".venv/bin/python").unlink()
    (clone.root / ".venv/pyvenv.cfg").unlink()


def _installer_damaged(clone: Clone) -> None:
    _truncate(clone.root / ".venv/bin/uv")
    shutil.rmtree(clone.site / "pip/_internal")


@pytest.mark.parametrize(
    "damage", [_scattered_losses, _interpreter_gone, pytest.param(_installer_damaged, marks=pytest.mark.long)]
)
def test_a_damaged_environment_is_mended(clone: Clone, damage: Callable[[Clone], None]) -> None:
    before = clone.files()
    damage(clone)
    assert clone.files() != before
    clone.set_up()
    assert {path for path, size in clone.files().items() if before.get(path) != size} <= {".venv/.set-up"}
    assert all(clone.versions())
    assert clone.set_up() == ""


@pytest.mark.long
def test_a_clone_that_was_moved_works_where_it_is(clone: Clone) -> None:
    place = clone.root
    clone.root = place.rename(place.with_name("elsewhere"))
    clone.set_up()
    assert all(clone.versions())
    source = subprocess.run(
        [clone.root / ".venv/bin/python", "-c", "import kd_hpc; print(kd_hpc.__file__)"], capture_output=True, text=True
    )
    assert source.stdout.startswith(str(clone.root))


def test_what_tests_need_comes_when_asked_for_and_stays_as_ones_own_does(clone: Clone) -> None:
    info = clone.site / "my_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{info.name}/METADATA,,{(info / 'METADATA').stat().st_size}\n")
    clone.set_up("dev")
    assert {"pytest", "mypy", "ruff", "hatchling", "my_methods"} <= clone.installed.keys()
    assert clone.set_up() == ""


def test_torch_comes_from_an_index_without_cuda_and_stays_so_until_told(clone: Clone) -> None:
    clone.set_up(KD_TORCH_INDEX=clone.cpu_index.url)
    assert clone.installed["torch"] == f"{PINS['torch']}+cpu"
    assert not {"nvidia_cublas", "triton"} & clone.installed.keys()
    assert clone.set_up() == ""
    clone.set_up(KD_TORCH_INDEX="")
    assert clone.installed["torch"] == PINS["torch"]
    assert "nvidia_cublas" in clone.installed


def test_ci_and_the_test_command_ask_for_what_tests_need() -> None:
    assert "setup.sh dev" in (ROOT / "toolbox/test.sh").read_text()
    assert not re.search("setup.sh dev", (ROOT / "toolbox/quickstart.sh").read_text())
    assert (BIN / "pytest").exists()
