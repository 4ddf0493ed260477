"""The Python interface: the notebook of the docs runs, the table of runs keeps its schema, results are the report's."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kd_analysis
from kd_analysis.report.contracts import CONTRACTS
from kd_hpc.errors import UsageError
from tests.analysis.reports import csv_rows
from tests.paths import ROOT

NOTEBOOK, PAGE = ROOT / "docs/results.ipynb", ROOT / "docs/guide/results-in-python.md"
KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}


@pytest.fixture
def here(synthetic: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with `experiments` in it, and a cache that other tests have filled."""
    (tmp_path / "experiments").symlink_to(synthetic)
    (tmp_path / "kd-analysis").symlink_to(shared_cache)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_notebook_runs_and_each_cell_shows_something(here: None) -> None:
    cells = [cell["source"] for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    lines = [line for cell in cells for line in cell if line.strip()]
    assert len(lines) == 10
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell[:-1]), "cell", "exec"), names)
        shown = eval(compile(cell[-1], "cell", "eval"), names)
        assert isinstance(shown, pd.DataFrame)
        assert len(shown)


def test_the_table_of_runs_is_what_its_schema_says(here: None) -> None:
    runs, schema = kd_analysis.load("experiments"), kd_analysis.schema()
    properties = schema["items"]["properties"]
    assert list(runs.columns) == list(properties) == schema["items"]["required"]
    assert runs.attrs["schema_version"] == schema["x-schema-version"] == 1
    rows = json.loads(runs.to_json(orient="records"))
    for row in rows:
        for name, value in row.items():
            kind, or_null = properties[name]["type"]
            assert or_null == "null"
            assert value is None or isinstance(value, KINDS[kind]), (name, value)
            assert isinstance(value, bool) is (kind == "boolean" and value is not None), name


def test_an_empty_folder_gives_the_same_columns_and_kinds(tmp_path: Path, here: None) -> None:
    (tmp_path / "empty").mkdir()
    nothing = kd_analysis.load(tmp_path / "empty")
    assert len(nothing) == 0
    assert list(nothing.dtypes) == list(kd_analysis.load("experiments").dtypes)
    found = kd_analysis.analyse(tmp_path / "empty")
    for name, columns in CONTRACTS.items():
        assert tuple(getattr(found, name).columns)[: len(columns)] == columns


def test_every_column_of_runs_is_on_the_page_with_its_meaning(here: None) -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    assert documented == {
        name: facts["description"] for name, facts in kd_analysis.schema()["items"]["properties"].items()
    }


@pytest.mark.parametrize("name", CONTRACTS)
def test_tables_begin_with_the_columns_others_rely_on(here: None, of_synthetic: Path, name: str) -> None:
    table = kd_analysis.analyse("experiments").table(name)
    assert tuple(table.columns)[: len(CONTRACTS[name])] == CONTRACTS[name]
    written = csv_rows(of_synthetic, name)
    assert list(table.columns) == list(written[0])
    assert len(table) == len(written)


def test_results_are_frozen_and_an_unknown_table_is_named(here: None) -> None:
    found = kd_analysis.analyse("experiments")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.runs = None  # type: ignore[misc]
    with pytest.raises(UsageError, match="simultanous") as raised:
        found.table("simultanous")
    assert "simultaneous" in str(raised.value.remedy)
