"""Where every number came from: the sidecar report.json, and the sections that print it."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from kd_analysis.accuracy.names import show_alpha
from kd_analysis.analysis import Analysis
from kd_analysis.geometry.neighbours import NEIGHBOURS
from kd_analysis.report.document import Block, Column, Document, Section, Table, TableValue, Text, table
from kd_analysis.report.settings import settings_of
from kd_analysis.representations.layers import ICA_ITEMS, NULL_ITEMS, RSA_ITEMS
from kd_analysis.representations.measures import ANGLES, BANDWIDTHS, BEST_PERMUTATIONS, DECIMATION
from kd_analysis.representations.npz import MOST_ITEMS
from kd_analysis.stats.paired import LEVEL
from kd_hpc.store import METRICS, STATUS
from kd_hpc.triage.run_directory import Run, file_hash

SIDECAR = "report.json"
SCHEMA = 1
LIBRARIES = ("kd-analysis", "kd-hpc", "numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "matplotlib", "jinja2")
PARAMETERS: Mapping[str, Any] = {
    "confidence": 0.95,
    "level": LEVEL,
    "power": 0.8,
    "headline accuracy": "last epoch",
    "most items": MOST_ITEMS,
    "neighbours": NEIGHBOURS,
    "RSA items": RSA_ITEMS,
    "ICA items": ICA_ITEMS,
    "items of the best layer": NULL_ITEMS,
    "permutations of the best layer": BEST_PERMUTATIONS,
    "RBF widths": list(BANDWIDTHS),
    "principal angles": ANGLES,
    "decimation": list(DECIMATION),
    "seed of every subset and permutation": 0,
}


def provenance_section(analysis: Analysis) -> Section:
    """Settings that differ, software, parameters, and files behind the numbers."""
    blocks: list[Block] = [
        Text(
            "Pure runs are no distilled runs at alpha 0: what else differs between them is said with every comparison. "
            "Here are the recorded settings with more than one value among the counted runs they act on."
        ),
        _differing(analysis),
        table("software", "Software that wrote this report", ["name", "version"], list(software().items())),
        table("training", "Software that trained the counted runs", ["what", "value", "runs"], _training(analysis)),
        table(
            "parameters",
            "Parameters of the analysis",
            ["parameter", "value"],
            [(name, json.dumps(value)) for name, value in PARAMETERS.items()],
        ),
        Text(
            "SHA-256 of every file read is in tables/inputs.csv, the runs behind each cell in "
            "tables/cell_runs.csv, both with all "
            "hashes of this report's own files in report.json. Check them with: kd-analysis report --verify FOLDER"
        ),
        _inputs(analysis),
        _cell_runs(analysis),
        *([_geometry(analysis)] if analysis.values else []),
    ]
    return Section("provenance", "Provenance", tuple(blocks))


def sidecar(
    analysis: Analysis, document: Document, files: Mapping[str, bytes], output: Path, campaign: Path | None
) -> bytes:
    """report.json: everything needed to recompute this report and to see whether it is still the same."""
    content = {
        "schema_version": SCHEMA,
        "title": document.title,
        "experiments": os.path.relpath(analysis.tree.root, output),
        "campaign": os.path.relpath(campaign, output) if campaign else None,
        "campaign_sha256": file_hash(campaign) if campaign else None,
        "software": software(),
        "parameters": PARAMETERS,
        "runs": [
            {"run": item.run.path, "verdict": str(item.verdict), "files": _hashes(item.run, analysis)}
            for item in analysis.tree.runs
        ],
        "tables": {t.name: _table(t) for t in document.tables},
        "files": {name: sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def software() -> dict[str, str]:
    """Python and every library whose version could change a number or a picture."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}


def _table(content: Table) -> dict[str, Any]:
    return {"columns": [column.name for column in content.columns], "rows": [list(row) for row in content.rows]}


def _hashes(run: Run, analysis: Analysis) -> dict[str, str]:
    found = {name: file_hash(run.directory / name) for name in (STATUS, METRICS)}
    if run.path in analysis.files:
        found |= {file.path.name: file.digest for file in analysis.files[run.path].every}
    return {name: digest for name, digest in found.items() if digest}


def _inputs(analysis: Analysis) -> Table:
    rows = [
        (item.run.path, name, digest)
        for item in analysis.tree.runs
        for name, digest in _hashes(item.run, analysis).items()
    ]
    return replace(table("inputs", "Files read", ["run", "file", "sha256"], rows), csv_only=True)


def _cell_runs(analysis: Analysis) -> Table:
    """Which runs each cell's numbers come from."""
    paths = {item.run.identity: item.run.path for item in analysis.tree.usable.values()}
    groups: dict[tuple[TableValue, ...], list[str]] = defaultdict(list)
    for identity, path in paths.items():
        key = (identity.dataset, identity.method, show_alpha(identity.alpha), identity.teacher, identity.student)
        groups[key].append(path)
    rows = [(*key, len(runs), " ".join(sorted(runs))) for key, runs in sorted(groups.items(), key=str)]
    columns: list[Column | str] = ["data set", "method", "alpha", "teacher", "student", "n", "runs"]
    return replace(table("cell_runs", "Runs behind each cell", columns, rows), csv_only=True)


def _geometry(analysis: Analysis) -> Table:
    """tables/geometry.csv: every number of every run, tidy; series that figures show are beside the figures."""
    paths = {identity: item.run.path for identity, item in analysis.tree.by_identity.items()}
    rows = [
        (
            paths[value.identity],
            paths[value.reference] if value.reference else None,
            value.layer or None,
            value.name,
            value.value,
            value.relation,
            value.other_layer or None,
            value.epoch,
        )
        for value in analysis.values
        if not value.name.startswith(("variance_of_", "angle_", "ica_r_", "umap_"))
    ]
    columns = ["run", "reference", "layer", "measure", "value", "relation", "reference_layer", "epoch"]
    return table("geometry", "Every measure of every run", columns, rows, csv_only=True)


def _differing(analysis: Analysis) -> Table:
    """Recorded settings with more than one value among the counted runs that they act on."""
    found = settings_of([item.run for item in analysis.tree.usable.values()])
    several = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    rows = [(each.name, each.value, each.runs, each.acts_on) for each in found if each.name in several]
    columns: list[Column | str] = ["setting", "value", "runs", Column("acts_on", label="acts on")]
    return table(
        "settings", "Settings that differ between counted runs", columns, rows or [("none on record", None, None, None)]
    )


def _training(analysis: Analysis) -> list[tuple[str, str, int]]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for item in analysis.tree.usable.values():
        provenance = item.run.record.provenance if item.run.record else {}
        for name in ("code_version", "torch", "device", "gpu", "dtype", "data_sha256"):
            counts[name, str(provenance.get(name) or "not recorded")] += 1
    return [(name, value, count) for (name, value), count in sorted(counts.items())]
