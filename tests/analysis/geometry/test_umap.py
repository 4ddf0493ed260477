"""The UMAP picture: an optional extra, never a statistic."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from kd_analysis.geometry.umap_picture import embedded, is_available, turned_onto


def test_a_student_is_turned_onto_its_teacher_as_scipy_does() -> None:
    rng = np.random.default_rng(4)
    teacher = rng.normal(size=(80, 5))
    student = rng.normal(size=(80, 5)) + teacher
    a, b = student - student.mean(axis=0), teacher - teacher.mean(axis=0)
    rotation, scale = orthogonal_procrustes(a, b)
    assert turned_onto(student, teacher) == pytest.approx(scale / (a**2).sum() * a @ rotation)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert turned_onto(3 * teacher @ turn + 7, teacher) == pytest.approx(b)


def test_a_folder_called_umap_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "umap").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "umap", raising=False)
    assert not is_available()


@pytest.mark.skipif(not is_available(), reason="umap-learn is not here: pip install 'kd-analysis[umap]'")
def test_a_turned_copy_of_the_teacher_lies_where_the_teacher_lies() -> None:
    rng = np.random.default_rng(1)
    teacher = rng.normal(size=(120, 6)) + 6 * np.eye(6)[np.arange(120) % 3]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    ours, theirs = embedded(teacher, 2 * teacher @ turn)
    distances = np.linalg.norm(ours - theirs, axis=1)
    assert np.median(distances) < 0.2 * np.ptp(ours, axis=0).max()
    assert np.array_equal(ours, embedded(teacher, teacher)[0])
