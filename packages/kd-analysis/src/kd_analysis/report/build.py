"""The whole document from one analysis: which sections, in which order."""

from __future__ import annotations

from collections.abc import Callable

from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Document, Section
from kd_analysis.report.sections.accuracy import accuracy_section
from kd_analysis.report.sections.alignment import alignment_section
from kd_analysis.report.sections.asymmetry import asymmetry_section
from kd_analysis.report.sections.best_alpha import best_alpha_section
from kd_analysis.report.sections.choosing import choosing_section
from kd_analysis.report.sections.comparisons import comparisons_section
from kd_analysis.report.sections.curves import curves_section
from kd_analysis.report.sections.data_sets import data_sets_section
from kd_analysis.report.sections.forks import forks_section
from kd_analysis.report.sections.glossary import glossary_section
from kd_analysis.report.sections.layers import layers_section
from kd_analysis.report.sections.ledger import ledger_section
from kd_analysis.report.sections.methods import methods_section
from kd_analysis.report.sections.provenance import provenance_section
from kd_analysis.report.sections.relation import relation_section
from kd_analysis.report.sections.runs import runs_section, triage_section
from kd_analysis.report.sections.seeds import seeds_section
from kd_analysis.report.sections.state import cost_section, state_section
from kd_analysis.report.sections.structure import structure_section
from kd_analysis.report.sections.students import students_section
from kd_analysis.report.sections.summary import summary
from kd_analysis.report.sections.transferred import transfer_section
from kd_analysis.report.sections.trends import trends_section
from kd_analysis.report.sections.what_it_cost import cost_of_distillation_section

SECTIONS = (
    summary,
    methods_section,
    triage_section,
    state_section,
    comparisons_section,
    trends_section,
    data_sets_section,
    seeds_section,
    accuracy_section,
    best_alpha_section,
    choosing_section,
    forks_section,
    alignment_section,
    transfer_section,
    asymmetry_section,
    layers_section,
    structure_section,
    relation_section,
    students_section,
    cost_of_distillation_section,
    curves_section,
    ledger_section,
    cost_section,
    runs_section,
    glossary_section,
    provenance_section,
)


def build_document(analysis: Analysis, built: Callable[[Section], object] = lambda section: None) -> Document:
    """Everything the report says; `built` hears of each section when it is there."""
    root = analysis.tree.root.resolve()
    name = analysis.campaign.name if analysis.campaign else "/".join(root.parts[-2:])
    title = f"Distillation report: {name}"
    subtitle = f"{analysis.tree.counted} of {analysis.tree.planned} runs counted"
    sections = []
    for section in SECTIONS:
        sections.append(section(analysis))
        built(sections[-1])
    return Document(title, subtitle, tuple(sections))
