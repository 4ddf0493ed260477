"""Geometry is computed once: keyed by content, by processes that give the same numbers, whatever befalls the cache."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kd_analysis.analysis import analyse
from kd_analysis.representations import compute
from kd_analysis.representations.cache import Cache
from kd_analysis.representations.pairs import FLOOR, OTHER, OWN, SEEDS, STUDENTS, TEACHER_ITSELF, TEACHERS
from kd_analysis.representations.transfer import per_seed, transferred
from kd_analysis.representations.values import GeometryValue
from tests.analysis.trees import TreeSpec, build_tree

SPEC = TreeSpec(methods=("logit",), alphas=(0.25, 0.75), seeds=(0, 1), items=60)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tree(tmp_path_factory.mktemp("compute"), SPEC)


@pytest.fixture(scope="module")
def kept(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    analyse(tree, None, Cache(root), 1)
    return root


def same(first: tuple[GeometryValue, ...], second: tuple[GeometryValue, ...]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(
        (a.identity, a.relation, a.layer, a.other_layer, a.name)
        == (b.identity, b.relation, b.layer, b.other_layer, b.name)
        and (a.value == b.value or (math.isnan(a.value) and math.isnan(b.value)))
        for a, b in pairs
    )


def test_a_second_analysis_computes_nothing_and_says_the_same(tree: Path, kept: Path) -> None:
    first = analyse(tree, None, Cache(None), 1)
    second = analyse(tree, None, Cache(kept), 1)
    assert first.computed > 0
    assert second.computed == 0
    assert same(first.values, second.values)


def test_processes_give_the_same_numbers_as_none(tree: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "SMALL", 0)
    found = analyse(tree, None, Cache(None), 2)
    assert same(found.values, analyse(tree, None, Cache(kept), 1).values)


def test_a_damaged_cache_costs_time_and_nothing_else(tree: Path, kept: Path, tmp_path: Path) -> None:
    before = analyse(tree, None, Cache(kept), 1).values
    for number, file in enumerate(sorted(kept.rglob("*.json"))):
        file.write_text(("", "[]", '{"torn', "{}")[number % 4])
    found = analyse(tree, None, Cache(kept), 1)
    assert found.computed > 0
    assert same(found.values, before)


def test_a_cache_that_cannot_be_written_is_no_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert analyse(tree, None, Cache(tmp_path / "file" / "cache"), 1).computed > 0


def test_every_student_meets_its_own_and_other_teachers_floor_and_ceiling(tree: Path, kept: Path) -> None:
    values = [value for value in analyse(tree, None, Cache(kept), 1).values if value.name == "cka_debiased"]
    for relation, count in ((OWN, 4), (OTHER, 4), (FLOOR, 2), (TEACHERS, 1), (STUDENTS, 2), (SEEDS, 2)):
        pairs = {(value.identity, value.reference) for value in values if value.relation == relation}
        assert len(pairs) == count, relation
    crossed = [v for v in analyse(tree, None, Cache(kept), 1).values if v.relation == TEACHER_ITSELF]
    assert {v.name for v in crossed} == {"cka_cross", "cka_cross_null"}
    own = [value for value in values if value.relation == OWN]
    assert all(value.reference == value.identity.teacher_run for value in own)


def test_what_the_generator_transfers_is_found_and_grows_with_alpha(tree: Path, kept: Path) -> None:
    found = transferred(analyse(tree, None, Cache(kept), 1).values, "cka_debiased")
    for layer in ("layer1", "layer2", "layer3"):
        little, much = (sum(found[layer]["logit"][alpha]) / 2 for alpha in (0.25, 0.75))
        assert 0 < little < much


def test_means_over_alphas_are_taken_within_each_seed(tree: Path, kept: Path) -> None:
    values = analyse(tree, None, Cache(kept), 1).values
    found = per_seed(values, "cka")["layer1", "logit"]
    raw = {
        seed: [
            v.value for v in values if (v.name, v.layer, v.relation, v.identity.seed) == ("cka", "layer1", OWN, seed)
        ]
        for seed in (0, 1)
    }
    assert sorted(found) == pytest.approx(sorted(sum(each) / 2 for each in raw.values()))
