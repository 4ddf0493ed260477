"""The registry of geometry measures: what each is called, where it is wanted, and how it is computed.

Adding a measure is adding a function and its line in SINGLE, PAIR, OUTPUTS or ANSWERS: tables/geometry.csv and the
report show its numbers under the names it gives them, unless `quantities` has a better place. Raise its version when
they change. A number called like another with `_null` behind it is what that other would be for networks that share
nothing but the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from kd_analysis.geometry import (
    calibration,
    cka,
    dimension,
    neighbours,
    nulls,
    predictions,
    rbf,
    separation,
    similarity,
    spectrum,
    subspaces,
    umap_picture,
)
from kd_analysis.geometry.components import matched_matrix, matched_pairs
from kd_analysis.representations.layers import Layer, Prepared

ANGLES = {"layer1": 4, "layer2": 8, "layer3": 16}
BANDWIDTHS, SHOWN_WIDTH = (0.2, 0.4, 0.8), 0.4
DECIMATION = (1, 2, 4)
STRONG = 0.5
BEST_PERMUTATIONS = 19
UMAP_ITEMS, UMAP_CLASSES = 300, 10

Numbers = Mapping[str, float]


class Reach(IntEnum):
    """With whom a pair's measure is wanted: the own teacher (and floor, and teachers with each other), the other seeds'
    teachers too, other students and earlier epochs too."""

    OWN = 1
    OTHERS = 2
    PEERS = 3


@dataclass(frozen=True)
class Measure:
    """A named computation that yields one or several numbers."""

    name: str
    compute: Callable[..., Numbers]
    version: int = 1
    reach: Reach = Reach.OWN


def _spectrum(a: Layer) -> Numbers:
    return {
        "participation_ratio": spectrum.participation_ratio(a.side.values),
        "effective_rank": spectrum.effective_rank(a.side.values),
        "components_90": spectrum.components_for(a.side.values, 0.90),
        "components_95": spectrum.components_for(a.side.values, 0.95),
    } | {f"variance_of_{k}": float(share) for k, share in enumerate(spectrum.cumulative(a.side.values), start=1)}


def _separation(a: Layer) -> Numbers:
    found = _separated(a, a.labels)
    if a.coarse is not None:
        found |= {f"{name}_superclasses": value for name, value in _separated(a, a.coarse).items()}
    return found


def _separated(a: Layer, labels: np.ndarray) -> dict[str, float]:
    return {
        "fisher_ratio": separation.fisher_trace_ratio(a.side.values, labels),
        "fisher_null": separation.fisher_null(len(labels), len(np.unique(labels))),
        "nc1": separation.nc1(a.side.values, labels),
    }


def _dimension(a: Layer) -> Numbers:
    found = {"two_nn": dimension.two_nn(a.graph.distances)}
    for factor in DECIMATION[1:]:
        part = similarity.stratified(a.labels, max(20, len(a.side) // factor))
        found[f"two_nn_over_{factor}"] = dimension.two_nn(neighbours.thinned_distances(a.graph, a.side, part, 2))
    return found


def _probe(a: Layer) -> Numbers:
    found = {"knn_probe": neighbours.knn_probe(a.graph, a.labels)}
    if a.coarse is not None:
        found["knn_probe_superclasses"] = neighbours.knn_probe(a.graph, a.coarse)
    return found


def _components(a: Layer) -> Numbers:
    found = a.components
    return {
        "ica_ceiling": found.ceiling,
        "ica_components": found.sources.shape[1],
        "ica_converged": found.converged / found.restarts,
    }


def _linear(a: Layer, b: Layer) -> Numbers:
    return {
        "cka": cka.linear_cka(a.side, b.side),
        "cka_debiased": cka.debiased_linear_cka(a.side, b.side),
        "cka_debiased_null": nulls.debiased_null(a.by_class, b.by_class),
    }


def _robust(a: Layer, b: Layer) -> Numbers:
    return {
        "cka_class_residual": cka.debiased_linear_cka(a.class_residual, b.class_residual),
        "cka_without_top_component": cka.debiased_linear_cka(a.without_top_component, b.without_top_component),
        "cka_without_outliers": cka.debiased_linear_cka(*cka.without_outliers(a.side, b.side)),
    }


def _rbf(a: Layer, b: Layer) -> Numbers:
    """The null of the middle width alone: another tenth of a second each for what no table shows."""
    found, null = rbf.rbf_cka(
        a.side, b.side, BANDWIDTHS, a.order, a.labels, null_of=(SHOWN_WIDTH,), medians=(a.median, b.median)
    )
    values = {f"cka_rbf_{width}": value for width, value in zip(BANDWIDTHS, found, strict=True)}
    shown = f"cka_rbf_{SHOWN_WIDTH}"
    return values | {
        f"{shown}_null": null[BANDWIDTHS.index(SHOWN_WIDTH)],
        "cka_rbf_minus_linear": values[shown] - cka.debiased_linear_cka(a.side, b.side),
    }


def _shape(a: Layer, b: Layer) -> Numbers:
    k = min(ANGLES[a.name], a.stored.shape[1], b.stored.shape[1])
    angles = subspaces.angles_between(a.scores(k), b.scores(k))
    similar = subspaces.procrustes_similarity(a.side, b.side)
    return {
        "procrustes_similarity": similar,
        "procrustes_similarity_null": subspaces.procrustes_null(a.side, b.side, a.classes.drawn),
        "procrustes_distance": subspaces.angular_distance(similar),
        "mean_principal_angle": float(angles.mean()),
    } | {f"angle_{number}": float(angle) for number, angle in enumerate(np.sort(angles), start=1)}


def _mutual(a: Layer, b: Layer) -> Numbers:
    return {
        "mutual_knn": neighbours.mutual_knn(a.graph, b.graph),
        "mutual_knn_null": nulls.mutual_null(a.neighbours_by_class, b.neighbours_by_class, a.classes),
    }


def _rsa(a: Layer, b: Layer) -> Numbers:
    return {
        "rsa": similarity.correlation(a.ranked_dissimilarities, b.ranked_dissimilarities),
        "rsa_null": nulls.rank_correlation_null(a.rank_matrix, b.rank_matrix, a.rsa_classes),
    }


def _matching(a: Layer, b: Layer) -> Numbers:
    pairs = matched_pairs(a.components.sources, b.components.sources)
    return {"ica_match": float(pairs.mean()), "ica_strong": float((pairs > STRONG).sum())}


def _matched(a: Layer, b: Layer) -> Numbers:
    """Every component of the one with every one of the other: for a picture."""
    matrix = matched_matrix(a.components.sources, b.components.sources)
    return {f"ica_r_{row}_{column}": float(value) for (row, column), value in np.ndenumerate(matrix)}


def _umap(a: Layer, b: Layer) -> Numbers:
    """Coordinates of a few items, the student's and the teacher's, and their classes: for a picture."""
    shown = np.flatnonzero(np.isin(a.labels, np.unique(a.labels)[:UMAP_CLASSES]))
    shown = shown[similarity.stratified(a.labels[shown], UMAP_ITEMS)]
    teacher, student = umap_picture.embedded(b.stored[shown], a.stored[shown])
    found = {f"umap_{number}_class": float(label) for number, label in enumerate(a.labels[shown])}
    for who, points in (("teacher", teacher), ("student", student)):
        found |= {f"umap_{number}_{who}_{axis}": float(v) for (number, axis), v in np.ndenumerate(points)}
    return found


def _cross(a: Layer, b: Layer) -> Numbers:
    return {
        "cka_cross": cka.debiased_linear_cka(a.side, b.side),
        "cka_cross_null": nulls.debiased_null(a.by_class, b.by_class),
    }


def _best_layers(a: Prepared, b: Prepared) -> Numbers:
    """For each of the student's layers the teacher's nearest, and what naming it is worth."""
    found: dict[str, float] = {}
    for name, layer in a.layers.items():
        others = [other.few for other in b.layers.values()]
        best = nulls.best_match(layer.few, others, layer.few_classes, BEST_PERMUTATIONS)
        found |= {
            f"best_for_{name}": best.place + 1.0,
            f"best_for_{name}_cka": best.value,
            f"best_for_{name}_null": best.null,
            f"best_for_{name}_p": best.p,
        }
    return found


def _predictions(a: Prepared, b: Prepared) -> Numbers:
    right = [side.answers == side.labels for side in (a, b)]
    return {
        "top1_agreement": predictions.top1_agreement(a.logits, b.logits),
        "top1_agreement_null": nulls.agreement_null(a.answers, b.answers, a.classes),
        "kl_from_reference": predictions.kl_divergence(b.logits, a.logits),
        "error_consistency": predictions.error_consistency(a.logits, b.logits, a.labels),
        "error_consistency_null": predictions.kappa(nulls.agreement_null(right[0], right[1], a.classes), *right),
    }


def _ledger(a: Prepared, b: Prepared) -> Numbers:
    right, wrong, items = predictions.agreement_where(a.logits, b.logits, a.labels)
    return {"agreement_teacher_right": right, "agreement_teacher_wrong": wrong, "teacher_wrong_items": items}


def _calibration(a: Prepared) -> Numbers:
    return {
        "ece": calibration.expected_calibration_error(a.logits, a.labels),
        "brier": calibration.brier_score(a.logits, a.labels),
        "confidence": calibration.mean_confidence(a.logits),
    }


def _classes(a: Prepared) -> Numbers:
    found = {f"class_{k}": float(v) for k, v in enumerate(calibration.accuracy_by_class(a.logits, a.labels))}
    if a.coarse is not None:
        right = np.asarray(a.answers == a.labels, dtype=float)
        shares = np.bincount(a.coarse, weights=right) / np.maximum(np.bincount(a.coarse), 1)
        found |= {f"superclass_{k}": float(100 * share) for k, share in enumerate(shares)}
    return found


SINGLE = (
    Measure("spectrum", _spectrum),
    Measure("separation", _separation, version=2),
    Measure("dimension", _dimension, version=2),
    Measure("probe", _probe, version=2),
    Measure("components", _components),
)
"""Of one layer."""
PAIR = (
    Measure("linear", _linear, version=2, reach=Reach.PEERS),
    Measure("robust", _robust),
    Measure("rbf", _rbf, version=4),
    Measure("shape", _shape, version=2, reach=Reach.OTHERS),
    Measure("mutual", _mutual, version=2, reach=Reach.OTHERS),
    Measure("rsa", _rsa, version=2, reach=Reach.OTHERS),
    Measure("matching", _matching, version=2),
)
"""Of a layer and the same layer of another network."""
CROSS = (Measure("cross", _cross, version=2),)
"""Of a layer and any layer of another network."""
OUTPUTS = (
    Measure("calibration", _calibration),
    Measure("accuracy_by_class", _classes),
)
"""Of one network as a whole."""
ANSWERS = (
    Measure("predictions", _predictions, version=2, reach=Reach.OTHERS),
    Measure("ledger", _ledger, reach=Reach.OTHERS),
    Measure("best_layers", _best_layers),
)
"""Of two networks as a whole."""
PICTURES = (
    Measure("matched_components", _matched),
    *((Measure("umap", _umap),) if umap_picture.is_available() else ()),
)
"""Of the last layer of few networks, with that of their teacher: much to keep, and only to be drawn."""
