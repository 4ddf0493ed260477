"""Geometry: identity, symmetry, promised invariances, a null near zero, and independent formulas or tools."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import rel_entr, softmax
from scipy.stats import spearmanr
from sklearn.decomposition._fastica import _logcosh
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from kd_analysis.geometry import (
    cka,
    components,
    dimension,
    neighbours,
    predictions,
    rbf,
    separation,
    similarity,
    spectrum,
    subspaces,
)

Array = np.ndarray
N = 160


def cloud(seed: int, n: int = N, c: int = 8) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, c)) * np.geomspace(2.0, 0.3, c) + rng.normal(size=c)


def rotation(seed: int, c: int = 8) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(c, c)))[0]


def mutual(x: Array, y: Array) -> float:
    return neighbours.mutual_knn(neighbours.neighbour_graph(x, 5), neighbours.neighbour_graph(y, 5))


def rsa(x: Array, y: Array) -> float:
    return similarity.rsa(similarity.dissimilarities(x), similarity.dissimilarities(y))


def gaussian(x: Array, y: Array) -> float:
    return rbf.rbf_cka(x, y, (0.4,), np.arange(len(x)))[0][0]


def angle_cosine(x: Array, y: Array) -> float:
    return float(np.cos(np.radians(subspaces.principal_angles(x, y, 3))).mean())


SIMILARITIES: dict[str, tuple[Callable[[Array, Array], float], float]] = {
    "linear CKA": (cka.linear_cka, 0.15),
    "debiased CKA": (cka.debiased_linear_cka, 0.05),
    "RBF CKA": (gaussian, 0.05),
    "Procrustes": (subspaces.procrustes_similarity, 0.45),
    "principal angles": (angle_cosine, 0.35),
    "mutual k-NN": (mutual, 0.1),
    "RSA": (rsa, 0.1),
}
each_similarity = pytest.mark.parametrize("name", SIMILARITIES)


@each_similarity
def test_a_representation_is_like_itself(name: str) -> None:
    measure, _ = SIMILARITIES[name]
    assert measure(cloud(0), cloud(0)) == pytest.approx(1.0, abs=1e-6)


@each_similarity
def test_similarity_is_symmetric(name: str) -> None:
    measure, _ = SIMILARITIES[name]
    x = cloud(0)
    y = x @ rotation(1) * 0.5 + cloud(2)
    assert measure(x, y) == pytest.approx(measure(y, x), abs=1e-9)


@each_similarity
def test_similarity_ignores_rotation_scale_and_shift(name: str) -> None:
    measure, _ = SIMILARITIES[name]
    x = cloud(0)
    y = x + 0.5 * cloud(1)
    moved = 3.7 * y @ rotation(2) + 11.0
    assert measure(x, moved) == pytest.approx(measure(x, y), abs=1e-6)


@each_similarity
def test_independent_representations_are_near_the_null(name: str) -> None:
    measure, null = SIMILARITIES[name]
    values = [measure(cloud(seed), cloud(seed + 100)) for seed in range(5)]
    assert abs(np.mean(values)) < null


@each_similarity
def test_similarity_notices_that_the_items_are_in_another_order(name: str) -> None:
    measure, _ = SIMILARITIES[name]
    x = cloud(0)
    assert measure(x, x[::-1]) < 0.6


def gram_cka(x: Array, y: Array) -> float:
    """By its definition on N x N matrices."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, m = h @ x @ x.T @ h, h @ y @ y.T @ h
    return float((k * m).sum() / math.sqrt((k * k).sum() * (m * m).sum()))


def unbiased_hsic(k: Array, m: Array) -> float:
    """Song et al. 2012, equation 5, term by term."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    value = (
        np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    )
    return float(value / (n * (n - 3)))


def test_linear_cka_against_its_gram_matrix_definition() -> None:
    x, y = cloud(0), cloud(0) @ rotation(3) + cloud(1)
    assert cka.linear_cka(x, y) == pytest.approx(gram_cka(x, y))


def test_debiased_cka_against_the_unbiased_hsic_of_full_kernels() -> None:
    x, y = cloud(0), cloud(0)[:, :5] + cloud(1, c=5)
    k, m = x @ x.T, y @ y.T
    expected = unbiased_hsic(k, m) / math.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert cka.debiased_linear_cka(x, y) == pytest.approx(expected)


def test_rbf_cka_against_full_kernels_over_two_minibatches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbf, "BATCH", 80)
    monkeypatch.setattr(rbf, "TILE", 30)
    x, y = cloud(0), cloud(0) + cloud(1)
    order = np.random.default_rng(0).permutation(N)
    terms = np.zeros(3)
    widths = [0.4 * np.median(pdist(side[order[:80]])) for side in (x, y)]
    for batch in (order[:80], order[80:]):
        k, m = (np.exp(-(cdist(s[batch], s[batch]) ** 2) / (2 * w**2)) for s, w in zip((x, y), widths, strict=True))
        terms += [unbiased_hsic(k, m), unbiased_hsic(k, k), unbiased_hsic(m, m)]
    assert rbf.rbf_cka(x, y, (0.4,), order)[0][0] == pytest.approx(terms[0] / math.sqrt(terms[1] * terms[2]))


def test_biased_rbf_cka_is_near_one_for_unrelated_clouds() -> None:
    x, y = cloud(0, 200, 64), cloud(1, 200, 64)
    k, m = (np.exp(-(squareform(pdist(s)) ** 2) / (2 * (0.2 * np.median(pdist(s))) ** 2)) for s in (x, y))
    h = np.eye(200) - 1 / 200
    biased = (h @ k @ h * (h @ m @ h)).sum() / math.sqrt(((h @ k @ h) ** 2).sum() * ((h @ m @ h) ** 2).sum())
    assert biased > 0.98
    assert abs(rbf.rbf_cka(x, y, (0.2,), np.arange(200))[0][0]) < 0.35


def test_wide_random_representations_fool_plain_cka_and_not_debiased_cka() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 200)), rng.normal(size=(50, 200))
    assert cka.linear_cka(x, y) > 0.75
    assert abs(cka.debiased_linear_cka(x, y)) < 0.15


def test_one_percent_of_far_items_pulls_plain_cka_down_not_the_robust() -> None:
    x = cloud(0, 1000)
    y = x.copy()
    y[:10] += 30 * y.std() * np.random.default_rng(1).normal(size=(10, 8))
    assert cka.linear_cka(x, y) < 0.8
    assert cka.debiased_linear_cka(*cka.without_outliers(x, y)) > 0.999


def test_a_shared_top_component_alone_gives_high_cka_until_it_is_removed() -> None:
    shared = 30 * np.random.default_rng(0).normal(size=(N, 1))
    x, y = np.hstack([shared, cloud(1)]), np.hstack([shared, cloud(2)])
    assert cka.linear_cka(x, y) > 0.99
    rest = cka.debiased_linear_cka(cka.without_top_component(x), cka.without_top_component(y))
    assert abs(rest) < 0.1


def test_class_residuals_have_no_class_means_left() -> None:
    labels = np.arange(N) % 5
    rest = cka.class_residual(cloud(0), labels)
    for label in range(5):
        assert np.abs(rest[labels == label].mean(axis=0)).max() < 1e-12


def test_principal_angles_against_their_definition_by_svd() -> None:
    x, y = cloud(0), cloud(0) + 0.3 * cloud(1)
    bases = []
    for side in (x, y):
        u, _, _ = np.linalg.svd(side - side.mean(axis=0), full_matrices=False)
        bases.append(u[:, :3])
    expected = np.degrees(np.arccos(np.clip(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False), -1, 1)))
    assert np.sort(subspaces.principal_angles(x, y, 3)) == pytest.approx(np.sort(expected), abs=1e-5)


def test_angles_of_channel_eigenvectors_would_call_a_rotation_other() -> None:
    x = cloud(0)
    y = x @ rotation(1)
    vectors = [np.linalg.eigh(np.cov(side.T))[1][:, -3:] for side in (x, y)]
    channel = np.degrees(np.arccos(np.clip(np.linalg.svd(vectors[0].T @ vectors[1], compute_uv=False), -1, 1)))
    assert channel.max() > 40
    assert subspaces.principal_angles(x, y, 3).max() < 1e-5


def test_procrustes_against_the_best_rotation_found_by_scipy() -> None:
    x, y = cloud(0), cloud(0) @ rotation(1) + 0.5 * cloud(2)
    a, b = (side - side.mean(axis=0) for side in (x, y))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    best, _ = orthogonal_procrustes(a, b)
    assert subspaces.procrustes_similarity(x, y) == pytest.approx(np.vdot(a @ best, b))


def test_procrustes_distance_obeys_the_triangle_inequality() -> None:
    for seed in range(20):
        x, y, z = (cloud(3 * seed + k, 30) + 0.5 * cloud(999, 30) for k in range(3))
        distance = subspaces.procrustes_distance
        assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-12


def test_spectrum_against_numpys_covariance() -> None:
    x = cloud(0)
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1]
    assert spectrum.variances(x) == pytest.approx(values)
    assert spectrum.participation_ratio(x) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    share = np.sqrt(values) / np.sqrt(values).sum()
    assert spectrum.effective_rank(x) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    held = np.cumsum(values) / values.sum()
    for wanted in (0.9, 0.95):
        k = int(spectrum.components_for(x, wanted))
        assert held[k - 1] >= wanted > (held[k - 2] if k > 1 else 0)


def test_an_isotropic_cloud_uses_every_dimension_and_a_line_one() -> None:
    isotropic = np.vstack([np.eye(6), -np.eye(6)])
    assert spectrum.participation_ratio(isotropic) == pytest.approx(6)
    assert spectrum.effective_rank(isotropic) == pytest.approx(6)
    line = np.outer(np.arange(10.0), np.ones(4))
    assert spectrum.participation_ratio(line) == pytest.approx(1)
    assert spectrum.components_for(line, 0.95) == 1


def test_independent_components_of_known_sources_are_found() -> None:
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(2000, 4))
    found = components.independent_components(sources @ rotation(3, 4))
    assert components.matched_correlation(found.sources, sources) > 0.95
    assert found.ceiling > 0.95
    assert found.converged == found.restarts == 5


def test_our_contrast_is_scikit_learns_log_cosh() -> None:
    values = np.random.default_rng(0).normal(size=(4, 50))
    slope, second = components._log_cosh(values)
    expected_slope, expected_second = _logcosh(values.copy(), {})
    assert slope == pytest.approx(expected_slope)
    assert second == pytest.approx(expected_second)


def test_component_matching_ignores_order_and_sign() -> None:
    x = np.linalg.qr(cloud(0) - cloud(0).mean(axis=0))[0]
    assert components.matched_correlation(x, -x[:, ::-1]) == pytest.approx(1.0, abs=0.01)


def test_fisher_ratio_without_classes_is_its_null() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 10
    values = [separation.fisher_trace_ratio(rng.normal(size=(400, 6)), labels) for _ in range(200)]
    assert np.mean(values) == pytest.approx(separation.fisher_null(400, 10), rel=0.05)


def test_fisher_ratio_and_nc1_against_scatter_matrices_item_by_item() -> None:
    x, labels = cloud(0) + np.repeat(np.eye(8)[:4] * 3, N // 4, axis=0), np.repeat(np.arange(4), N // 4)
    mean = x.mean(axis=0)
    within, between = np.zeros((8, 8)), np.zeros((8, 8))
    for row, label in zip(x, labels, strict=True):
        centre = x[labels == label].mean(axis=0)
        within += np.outer(row - centre, row - centre) / N
        between += np.outer(centre - mean, centre - mean) / N
    assert separation.fisher_trace_ratio(x, labels) == pytest.approx(np.trace(between) / np.trace(within))
    assert separation.nc1(x, labels) == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-6)) / 4)


def test_collapsed_classes_have_nc1_zero_and_infinite_fisher_ratio() -> None:
    labels = np.repeat(np.arange(3), 10)
    x = np.eye(3)[labels]
    assert separation.nc1(x, labels) == pytest.approx(0.0, abs=1e-12)
    assert separation.fisher_trace_ratio(x, labels) > 1e20


CLOUDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "few": lambda rng: rng.normal(size=(60, 8)),
    "more than a block": lambda rng: rng.normal(size=(700, 16)),
    "far from the origin, and close together": lambda rng: (
        np.repeat(rng.normal(size=(70, 8)), 10, axis=0) + 1e-4 * rng.normal(size=(700, 8))
    ),
    "many equally far": lambda rng: rng.integers(0, 2, size=(700, 6)).astype(float),
    "all in one place": lambda rng: np.ones((700, 4)),
    "a few far out": lambda rng: rng.normal(size=(700, 8)) * np.where(np.arange(700) < 5, 1e4, 1)[:, None],
}


@pytest.mark.parametrize("kind", CLOUDS)
def test_no_item_is_nearer_than_those_in_the_graph(kind: str) -> None:
    x = CLOUDS[kind](np.random.default_rng(8))
    distances = squareform(pdist(x - x.mean(axis=0)))
    found = neighbours.neighbour_graph(x, 10)
    np.testing.assert_allclose(np.take_along_axis(distances, found.indices, axis=1), found.distances, atol=1e-12)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :10], rtol=1e-9, atol=1e-12)
    assert all(len({*row, own}) == 11 for own, row in enumerate(found.indices))


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_neighbours_among_fewer_items_are_those_of_a_graph_of_these(kind: str, share: float) -> None:
    rng = np.random.default_rng(9)
    x = CLOUDS[kind](rng)
    kept = np.flatnonzero(rng.random(len(x)) < share)
    found = neighbours.thinned_distances(neighbours.neighbour_graph(x, 10), x, kept, 2)
    expected = np.sort(squareform(pdist(x[kept])) + np.diag(np.full(len(kept), np.inf)), axis=1)[:, :2]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    sparse = neighbours.thinned_distances(neighbours.neighbour_graph(x, 1), x, kept, 2)
    np.testing.assert_allclose(sparse, expected, rtol=1e-9, atol=1e-12)


def test_duplicate_items_never_neighbour_themselves() -> None:
    x = np.repeat(cloud(0, 20), 6, axis=0)
    found = neighbours.neighbour_graph(x, 3)
    assert found.indices.shape == (120, 3)
    assert not (found.indices == np.arange(120)[:, None]).any()


def test_probe_against_scikit_learns_leave_one_out() -> None:
    labels = np.arange(N) % 3
    x = cloud(0) + np.eye(8)[labels] * 2
    expected = cross_val_predict(KNeighborsClassifier(1, algorithm="brute"), x, labels, cv=LeaveOneOut())
    assert neighbours.knn_probe(neighbours.neighbour_graph(x, 1), labels) == pytest.approx(
        100 * (expected == labels).mean()
    )


def test_a_vote_that_is_tied_goes_where_scikit_learn_lets_it_go() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 7, 300)
    x = rng.normal(size=(300, 4)) + np.eye(7)[labels][:, :4]
    expected = cross_val_predict(KNeighborsClassifier(10, algorithm="brute"), x, labels, cv=LeaveOneOut())
    found = neighbours.knn_probe(neighbours.neighbour_graph(x, 10), labels)
    assert found == pytest.approx(100 * (expected == labels).mean())


def test_mutual_neighbours_of_unrelated_clouds_are_chance() -> None:
    values = [mutual(cloud(seed), cloud(seed + 50)) for seed in range(10)]
    assert np.mean(values) == pytest.approx(5 / (N - 1), rel=0.25)


def test_two_nn_against_scikit_dimension() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skdim_id = pytest.importorskip("skdim.id")
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(1500, 4)), np.zeros((1500, 3))]) @ rng.normal(size=(7, 7))
    found = dimension.two_nn(neighbours.neighbour_graph(x, 2).distances)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = skdim_id.TwoNN().fit(x).dimension_
    assert found == pytest.approx(expected, rel=1e-9)
    assert found == pytest.approx(4, rel=0.12)


def test_two_nn_survives_duplicates_and_too_few_items() -> None:
    x = np.repeat(cloud(0, 100), 2, axis=0)
    assert math.isnan(dimension.two_nn(neighbours.neighbour_graph(x, 2).distances))
    assert math.isnan(dimension.two_nn(np.ones((5, 2))))


def test_rsa_against_scipys_spearman() -> None:
    x, y = cloud(0, 60), cloud(0, 60) + cloud(1, 60)
    assert rsa(x, y) == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic)


def test_rsa_against_rsatoolbox() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rsatoolbox = pytest.importorskip("rsatoolbox")
        x, y = cloud(0, 40), cloud(0, 40) + cloud(1, 40)
        rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(side), method="euclidean") for side in (x, y)]
        expected = rsatoolbox.rdm.compare(*rdms, method="spearman").item()
    assert rsa(x, y) == pytest.approx(expected)


def test_the_stratified_subset_is_fixed_sorted_and_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    chosen = similarity.stratified(labels, 100)
    assert (chosen == similarity.stratified(labels, 100)).all()
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 10]
    assert similarity.stratified(labels, 5000).tolist() == list(range(1000))


def test_predictions_against_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    teacher, student = (rng.normal(size=(300, 5)) + 2 * np.eye(5)[labels] for _ in range(2))
    p, q = softmax(teacher, axis=1), softmax(student, axis=1)
    assert predictions.kl_divergence(teacher, student) == pytest.approx(rel_entr(p, q).sum(axis=1).mean())
    right = [side.argmax(axis=1) == labels for side in (teacher, student)]
    assert predictions.error_consistency(teacher, student, labels) == pytest.approx(cohen_kappa_score(*right))
    assert predictions.top1_agreement(teacher, teacher) == 1.0
    assert predictions.kl_divergence(teacher, teacher) == 0.0
    assert predictions.accuracy(teacher, labels) == pytest.approx(100 * right[0].mean())


def test_large_logits_do_not_overflow() -> None:
    assert predictions.kl_divergence([[1e4, 0.0]], [[0.0, 1e4]]) == pytest.approx(1e4)


def test_broken_representations_give_nan_or_an_error_never_a_number() -> None:
    constant = np.ones((20, 3))
    assert math.isnan(cka.linear_cka(constant, cloud(0, 20)))
    assert math.isnan(subspaces.procrustes_similarity(constant, cloud(0, 20)))
    assert math.isnan(spectrum.participation_ratio(constant))
    with pytest.raises(ValueError, match="finite"):
        cka.linear_cka(np.full((20, 3), np.nan), cloud(0, 20))
    with pytest.raises(ValueError, match="same items"):
        cka.linear_cka(cloud(0, 20), cloud(0, 21))


def test_matched_components_stand_on_the_diagonal_strongest_first() -> None:
    rng = np.random.default_rng(2)
    sources = rng.normal(size=(300, 4))
    noisy = sources[:, [2, 0, 3]] * [1, -2, 1] + rng.normal(size=(300, 3)) * [0.2, 0.8, 0.4]
    found = components.matched_matrix(sources, noisy)
    assert found.shape == (4, 3)
    pairs = ((2, 0), (0, 1), (3, 2))
    expected = sorted((abs(np.corrcoef(sources[:, i], noisy[:, j])[0, 1]) for i, j in pairs), reverse=True)
    assert np.diag(found) == pytest.approx(expected)
    assert np.diag(found).mean() == pytest.approx(components.matched_correlation(sources, noisy))
    assert sorted(found.ravel()) == pytest.approx(sorted(components.correlations(sources, noisy).ravel()))
