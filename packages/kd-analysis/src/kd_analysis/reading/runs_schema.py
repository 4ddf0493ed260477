"""What the table of runs promises to programs that read it."""

from __future__ import annotations

from typing import Any

from kd_analysis.reading.run_columns import RUN_COLUMNS

RUNS_SCHEMA_VERSION = 1
"""Raised when a column goes or changes its meaning; new columns come at no notice."""


def runs_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the table as a list of objects, one a run; a missing value is null."""
    columns = {column.name: {"type": [column.kind, "null"], "description": column.meaning} for column in RUN_COLUMNS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runs",
        "description": f"One object a run. Version {RUNS_SCHEMA_VERSION}.",
        "x-schema-version": RUNS_SCHEMA_VERSION,
        "type": "array",
        "items": {"type": "object", "properties": columns, "required": list(columns)},
    }
