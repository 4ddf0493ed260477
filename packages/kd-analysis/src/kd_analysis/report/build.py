"""The whole document from one analysis: which sections, in which order."""

from __future__ import annotations

from kd_analysis.analysis import Analysis
from kd_analysis.report.accuracy_sections import accuracy_section, sweeps_section
from kd_analysis.report.document import Document
from kd_analysis.report.geometry_sections import alignment_section
from kd_analysis.report.runs_sections import curves_section, runs_section, summary, triage_section

SECTIONS = (summary, triage_section, accuracy_section, sweeps_section, alignment_section, curves_section, runs_section)


def build_document(analysis: Analysis) -> Document:
    """Everything the report says."""
    name = analysis.campaign.name if analysis.campaign else analysis.tree.root.resolve().name
    title = f"Distillation report: {name}"
    subtitle = f"{len(analysis.tree.usable)} of {analysis.tree.planned} runs counted"
    return Document(title, subtitle, tuple(section(analysis) for section in SECTIONS))
