"""Control arms and forks in the report: the reference is the hard-label student, each arm stands beside its method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_analysis.report.document import Document
from kd_analysis.report.markdown import render_markdown
from kd_hpc.experiment import Experiment
from tests.analysis.reports import document_of, rows_of
from tests.analysis.trees import TreeSpec, build_tree, write_run

SPEC = TreeSpec(methods=("logit",), alphas=(0.25, 0.5), seeds=(0, 1, 2), items=0)
STUDENT = {"dataset": "Digits", "student": SPEC.student}
LOGIT = {**STUDENT, "method": "logit", "teacher": SPEC.teacher}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logit KD at two alphas, hard-label students, random teachers at 0.5, and forks that go on without a teacher."""
    root = build_tree(tmp_path_factory.mktemp("arms"), SPEC)
    for seed in SPEC.seeds:
        hard = Experiment.model_validate({**STUDENT, "seed": seed, "variant": "hard"})
        random = Experiment.model_validate({**LOGIT, "alpha": 0.5, "seed": seed, "variant": "random_teacher"})
        fork = Experiment.model_validate({**LOGIT, "alpha": 0.0, "seed": seed, "variant": "at_8_of_logit_0.5"})
        for run, accuracy in ((hard, 93.0), (random, 93.1), (fork, 93.5)):
            write_run(root, run, accuracy, SPEC, mix=0.0)
    return root


@pytest.fixture(scope="module")
def document(root: Path) -> Document:
    return document_of(root)


def last(root: Path, run: Experiment) -> float:
    return float(json.loads((root / run.path / "status.json").read_text())["acc_last"])


def test_effects_are_differences_to_the_hard_label_student(document: Document, root: Path) -> None:
    for row in rows_of(document, "simultaneous"):
        runs = [Experiment.model_validate({**LOGIT, "alpha": float(str(row["alpha"])), "seed": s}) for s in SPEC.seeds]
        plain = [Experiment.model_validate({**STUDENT, "seed": s, "variant": "hard"}) for s in SPEC.seeds]
        expected = sum(last(root, a) - last(root, b) for a, b in zip(runs, plain, strict=True)) / 3
        assert row["difference"] == pytest.approx(expected, abs=1e-9)
        assert row["reference"] == "hard-label student"
    assert "It differs from distilled students in nothing but the teacher's terms." in render_markdown(document)
    assert "Add the control arm" not in render_markdown(document)


def test_the_ledger_has_the_p_values_of_control_arms_too(document: Document) -> None:
    rows = rows_of(document, "p_values")
    for arm in rows_of(document, "controls"):
        at = {key: arm[key] for key in ("dataset", "method", "alpha", "n", "p_adjusted")}
        assert [row for row in rows if at.items() <= row.items() and row["role"] == "declared"], at
    assert {row["family"] for row in rows} >= {"cells against the reference", "variants against the reference"}


def test_each_control_arm_stands_beside_its_method(document: Document) -> None:
    cells = {row["alpha"]: row["difference"] for row in rows_of(document, "simultaneous")}
    (row,) = (row for row in rows_of(document, "controls") if row["method"] == "logit+random_teacher")
    assert (row["alpha"], row["n"]) == ("0.5", 3)
    assert row["method_minus_arm"] == pytest.approx(float(str(cells["0.5"])) - float(str(row["difference"])))


def test_forks_stand_beside_the_runs_they_left(document: Document, root: Path) -> None:
    (row,) = rows_of(document, "forks")
    named = [row[name] for name in ("parent", "parent_alpha", "epoch", "fork", "alpha", "n")]
    assert named == ["logit", "0.5", 8, "logit", "0", 3]
    fork = [
        Experiment.model_validate({**LOGIT, "alpha": 0.0, "seed": s, "variant": "at_8_of_logit_0.5"}) for s in (0, 1, 2)
    ]
    parents = [run.parent for run in fork]
    assert all(parents)
    expected = sum(last(root, a) - last(root, b) for a, b in zip(fork, parents, strict=True) if b) / 3
    assert row["difference"] == pytest.approx(expected, abs=1e-9)
    assert "forks_Digits" in {figure.name for figure in document.figures}


def test_without_control_arms_the_report_says_what_is_confounded(synthetic_document: Document) -> None:
    text = render_markdown(synthetic_document)
    assert "a difference to them is one of teacher and smoothing together" in text
    assert "Add the control arm" in text


def test_a_tree_of_control_arms_alone_has_a_report_whose_figures_can_be_drawn(tmp_path: Path) -> None:
    spec = TreeSpec(items=40)
    for seed in (0, 1):
        shuffled = {**LOGIT, "alpha": 0.5, "seed": seed, "variant": "shuffled"}
        for mix, fields in ((0.0, {**STUDENT, "student": spec.teacher, "seed": seed}), (0.4, shuffled)):
            write_run(tmp_path, Experiment.model_validate(fields), 95.0, spec, mix=mix)
        write_run(tmp_path, Experiment.model_validate({**STUDENT, "seed": seed}), 94.0, spec, mix=0.1)
    document = document_of(tmp_path)
    assert {row["method"] for row in rows_of(document, "controls")} == {"logit+shuffled"}
    for figure in document.figures:
        figure.draw()
