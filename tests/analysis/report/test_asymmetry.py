"""The ledger of copied errors, counted by hand from the logits and tested as accuracies are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kd_analysis.report.document import Document
from tests.analysis.reports import Row, document_of, rows_of
from tests.analysis.trees import TreeSpec, build_tree

SPEC = TreeSpec(methods=("logit",), alphas=(0.5,), seeds=(0, 1, 2, 3), items=200)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tree(tmp_path_factory.mktemp("asymmetry"), SPEC)


@pytest.fixture(scope="module")
def document(root: Path) -> Document:
    return document_of(root)


def agreement(root: Path, student: str, seed: int, *, right: bool) -> float:
    """Percent of the items its teacher gets right (or wrong) that the student answers as the teacher does."""
    ours, theirs = (
        np.load(root / f"Digits/{path}/{seed}/representations.npz") for path in (student, f"pure/{SPEC.teacher}")
    )
    answers, labels = theirs["logits"].argmax(1), theirs["labels"]
    chosen = (answers == labels) == right
    return float(100 * (ours["logits"].argmax(1) == answers)[chosen].mean())


def row_of(document: Document, side: str) -> Row:
    (row,) = (row for row in rows_of(document, "asymmetry") if row["teacher_is"] == side)
    return row


@pytest.mark.parametrize("side", ["right", "wrong"])
def test_agreement_is_counted_against_the_plain_student_and_tested_over_seeds(
    document: Document, root: Path, side: str
) -> None:
    distilled = f"logit/alpha_0.5/{SPEC.teacher}_to_{SPEC.student}"
    ours, plain = (
        np.array([agreement(root, name, seed, right=side == "right") for seed in SPEC.seeds])
        for name in (distilled, f"pure/{SPEC.student}")
    )
    row = row_of(document, side)
    assert row["n"] == 4
    assert row["agreement"] == pytest.approx(ours.mean())
    assert row["plain"] == pytest.approx(plain.mean())
    assert row["difference"] == pytest.approx((ours - plain).mean())
    # one cell and its reference over seeds as blocks: the model's t is the paired one
    expected = stats.ttest_rel(ours, plain)
    assert row["p_adjusted"] == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_no_agreement_is_called_equivalent(document: Document) -> None:
    words = {row["conclusion"] for row in rows_of(document, "asymmetry")}
    assert words <= {"agrees more", "agrees less", "suggestive", "inconclusive"}


def test_calibration_against_the_reference_is_the_mean_of_the_runs(document: Document) -> None:
    rows = {row["measure"]: row for row in rows_of(document, "calibration")}
    geometry = rows_of(document, "geometry")
    brier = [float(str(row["value"])) for row in geometry if row["measure"] == "brier" and "/logit/" in str(row["run"])]
    assert len(brier) == 4
    assert rows["Brier score"]["mean"] == pytest.approx(np.mean(brier))
