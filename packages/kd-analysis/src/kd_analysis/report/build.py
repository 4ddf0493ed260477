"""The whole document from one analysis: which sections, in which order."""

from __future__ import annotations

from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Document
from kd_analysis.report.sections.accuracy import accuracy_section, sweeps_section
from kd_analysis.report.sections.alignment import alignment_section, transfer_section
from kd_analysis.report.sections.curves import curves_section
from kd_analysis.report.sections.glossary import glossary_section
from kd_analysis.report.sections.inference import (
    aggregates_section,
    best_alpha_section,
    heatmap_section,
    tests_section,
)
from kd_analysis.report.sections.provenance import provenance_section
from kd_analysis.report.sections.runs import runs_section, summary, triage_section
from kd_analysis.report.sections.state import cost_section, state_section
from kd_analysis.report.sections.structure import relation_section, structure_section

SECTIONS = (
    summary,
    state_section,
    triage_section,
    accuracy_section,
    sweeps_section,
    heatmap_section,
    tests_section,
    best_alpha_section,
    aggregates_section,
    alignment_section,
    transfer_section,
    structure_section,
    relation_section,
    curves_section,
    cost_section,
    runs_section,
    glossary_section,
    provenance_section,
)


def build_document(analysis: Analysis) -> Document:
    """Everything the report says."""
    root = analysis.tree.root.resolve()
    name = analysis.campaign.name if analysis.campaign else "/".join(root.parts[-2:])
    title = f"Distillation report: {name}"
    subtitle = f"{analysis.tree.counted} of {analysis.tree.planned} runs counted"
    return Document(title, subtitle, tuple(section(analysis) for section in SECTIONS))
