"""Adding a measure of geometry, or a column of runs, is a line (and a function): the rest shows it by itself."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.trees import TreeSpec, build_tree
from tests.paths import ROOT

SOURCES = ROOT / "packages/kd-analysis/src"
SPREAD = """
def _spread(a: Layer) -> Numbers:
    return {"largest_norm": float(np.linalg.norm(a.values, axis=1).max())}


def _gap(a: Layer, b: Layer) -> Numbers:
    return {"norm_gap": float(np.linalg.norm(a.values) - np.linalg.norm(b.values))}


def _margin(a: Prepared, b: Prepared) -> Numbers:
    return {"top_logit_gap": float(a.logits.max() - b.logits.max())}


SINGLE = (
    Measure("spread", _spread),
"""
ADDED = {
    "kd_analysis/representations/measures.py": {
        "\nSINGLE = (\n": SPREAD,
        "\nPAIR = (\n": '\nPAIR = (\n    Measure("gap", _gap),\n',
        "\nANSWERS = (\n": '\nANSWERS = (\n    Measure("margin", _margin),\n',
    },
    "kd_analysis/reading/run_columns.py": {
        "= (\n    RunColumn(": '= (\n    RunColumn("letters", "integer", "its name", lambda _, at: len(at.run.path)),\n'
        "    RunColumn(",
    },
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report by a copy of the package with three more measures and one more column."""
    root = tmp_path_factory.mktemp("adding")
    shutil.copytree(SOURCES, root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in ADDED.items():
        path = root / "src" / name
        text = path.read_text()
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text)
    runs = build_tree(root / "experiments", TreeSpec(methods=("logit",), alphas=(0.25, 0.75), items=30))
    words = ["report", runs, "-o", root / "report", "--cache", root / "cache", "--workers", "1", "--no-pdf"]
    program = [sys.executable, "-c", "from kd_analysis.cli import main; main()", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=1000)
    assert done.returncode == 0, done.stderr
    return root / "report"


@pytest.mark.parametrize("name", ["largest norm", "norm gap", "top logit gap"])
def test_a_measure_is_a_function_and_a_line_and_the_report_shows_it(report: Path, name: str) -> None:
    assert any(name.replace(" ", "_") in header for header in headers(report).values())
    assert f"| {name} |" in (report / "report.md").read_text()


def test_a_column_of_runs_is_a_line(report: Path) -> None:
    with (report / "tables" / "runs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert all(int(row["letters"]) == len(row["path"]) for row in rows)


def headers(report: Path) -> dict[str, str]:
    return {path.stem: path.read_text().splitlines()[0] for path in (report / "tables").glob("*.csv")}
