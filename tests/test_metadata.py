"""What a registry, a citation or a bug report reads about the packages: one version, one licence, no empty field."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.paths import BIN, ROOT

PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
every_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def test_all_parts_have_one_version_which_the_changelog_tells_of() -> None:
    (version,) = {project(folder)["version"] for folder in [ROOT, *PACKAGES]}
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert cited == version
    newest = re.findall(r"^## .*", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[0]
    assert version in newest


@every_package
def test_a_package_carries_its_licence_and_says_what_it_is(package: Path) -> None:
    facts = project(package)
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (facts["license"], facts["license-files"]) == ("MIT", ["LICENSE"])
    assert (package / facts["readme"]).read_text().startswith(f"# {package.name}\n")
    assert facts["description"]
    assert len(facts["keywords"]) >= 3
    assert len(facts["classifiers"]) >= 5
    assert "urls" not in facts


@every_package
def test_a_program_tells_the_version_that_is_installed(package: Path) -> None:
    done = subprocess.run([BIN / package.name, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{package.name} {project(package)['version']}\n", "")


def test_changes_stand_under_the_headings_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    kinds = set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    dates = re.findall(r"^## \[[\d.]+\] - (\d{4}-\d\d-\d\d)$", text, flags=re.MULTILINE)
    assert dates == sorted(dates, reverse=True)
    assert len(dates) >= 2
