"""The registry of geometry measures: what each is called, where it is wanted, and how it is computed from two layers.

Adding a measure is adding a function and its line in SINGLE, PAIR or LOGITS: tables/geometry.csv and the report show
its numbers under the names it gives them, unless `quantities` has a better place. Raise its version when they change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from kd_analysis.geometry import cka, dimension, neighbours, predictions, separation, similarity, spectrum, subspaces
from kd_analysis.geometry.components import Components, independent_components, matched_correlation
from kd_analysis.representations.npz import LAYERS, Representations

ANGLES = {"layer1": 4, "layer2": 8, "layer3": 16}
RSA_ITEMS, ICA_ITEMS = 500, 2_000
BANDWIDTHS = (0.2, 0.4, 0.8)
DECIMATION = (1, 2, 4)

Numbers = Mapping[str, float]


class Layer:
    """One layer of one file, with what was already computed from it."""

    def __init__(self, name: str, values: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self.name = name
        self.values = values.astype(np.float64)
        self.labels = labels

    @cached_property
    def graph(self) -> neighbours.Graph:
        return neighbours.neighbour_graph(self.values, min(neighbours.NEIGHBOURS, len(self.values) - 2))

    @cached_property
    def class_residual(self) -> NDArray[np.float64]:
        return cka.class_residual(self.values, self.labels)

    @cached_property
    def without_top_component(self) -> NDArray[np.float64]:
        return cka.without_top_component(self.values)

    @cached_property
    def ranked_dissimilarities(self) -> NDArray[np.float64]:
        chosen = self.values[similarity.stratified(self.labels, RSA_ITEMS)]
        return np.asarray(rankdata(similarity.dissimilarities(chosen)))

    @cached_property
    def components(self) -> Components:
        return independent_components(self.values[similarity.stratified(self.labels, ICA_ITEMS)])

    @cached_property
    def order(self) -> NDArray[np.int64]:
        return np.random.default_rng(0).permutation(len(self.values))


class Prepared:
    """A file's layers by name and its logits, on the items every run is compared on."""

    def __init__(self, found: Representations) -> None:
        cut = found.cut()
        self.layers = {name: Layer(name, cut.layers[name], cut.labels) for name in LAYERS}
        self.logits, self.labels = cut.logits, cut.labels


@dataclass(frozen=True)
class Measure:
    """A named computation that yields one or several numbers; `everywhere` also against other seeds' teachers."""

    name: str
    compute: Callable[..., Numbers]
    version: int = 1
    everywhere: bool = False


def _spectrum(a: Layer) -> Numbers:
    return {
        "participation_ratio": spectrum.participation_ratio(a.values),
        "effective_rank": spectrum.effective_rank(a.values),
        "components_90": spectrum.components_for(a.values, 0.90),
        "components_95": spectrum.components_for(a.values, 0.95),
    } | {f"variance_of_{k}": float(share) for k, share in enumerate(spectrum.cumulative(a.values), start=1)}


def _separation(a: Layer) -> Numbers:
    classes = len(np.unique(a.labels))
    return {
        "fisher_ratio": separation.fisher_trace_ratio(a.values, a.labels),
        "fisher_null": separation.fisher_null(len(a.labels), classes),
        "nc1": separation.nc1(a.values, a.labels),
    }


def _dimension(a: Layer) -> Numbers:
    found = {"two_nn": dimension.two_nn(a.graph.distances)}
    for factor in DECIMATION[1:]:
        part = a.values[similarity.stratified(a.labels, max(20, len(a.values) // factor))]
        found[f"two_nn_over_{factor}"] = dimension.two_nn(neighbours.neighbour_graph(part, 2).distances)
    return found


def _probe(a: Layer) -> Numbers:
    return {"knn_probe": neighbours.knn_probe(a.graph, a.labels)}


def _components(a: Layer) -> Numbers:
    found = a.components
    return {
        "ica_ceiling": found.ceiling,
        "ica_components": found.sources.shape[1],
        "ica_converged": found.converged / found.restarts,
    }


def _linear(a: Layer, b: Layer) -> Numbers:
    return {
        "cka": cka.linear_cka(a.values, b.values),
        "cka_debiased": cka.debiased_linear_cka(a.values, b.values),
    }


def _robust(a: Layer, b: Layer) -> Numbers:
    return {
        "cka_class_residual": cka.debiased_linear_cka(a.class_residual, b.class_residual),
        "cka_without_top_component": cka.debiased_linear_cka(a.without_top_component, b.without_top_component),
        "cka_without_outliers": cka.debiased_linear_cka(*cka.without_outliers(a.values, b.values)),
    }


def _rbf(a: Layer, b: Layer) -> Numbers:
    found = cka.rbf_cka(a.values, b.values, BANDWIDTHS, a.order)
    return {f"cka_rbf_{width}": value for width, value in zip(BANDWIDTHS, found, strict=True)}


def _shape(a: Layer, b: Layer) -> Numbers:
    k = min(ANGLES[a.name], a.values.shape[1], b.values.shape[1])
    return {
        "procrustes_similarity": subspaces.procrustes_similarity(a.values, b.values),
        "procrustes_distance": subspaces.procrustes_distance(a.values, b.values),
        "mean_principal_angle": float(subspaces.principal_angles(a.values, b.values, k).mean()),
    }


def _mutual(a: Layer, b: Layer) -> Numbers:
    return {"mutual_knn": neighbours.mutual_knn(a.graph, b.graph)}


def _rsa(a: Layer, b: Layer) -> Numbers:
    return {"rsa": similarity.correlation(a.ranked_dissimilarities, b.ranked_dissimilarities)}


def _matching(a: Layer, b: Layer) -> Numbers:
    return {"ica_match": matched_correlation(a.components.sources, b.components.sources)}


def _cross(a: Layer, b: Layer) -> Numbers:
    return {"cka_cross": cka.debiased_linear_cka(a.values, b.values)}


def _predictions(a: Prepared, b: Prepared) -> Numbers:
    return {
        "top1_agreement": predictions.top1_agreement(a.logits, b.logits),
        "kl_from_reference": predictions.kl_divergence(b.logits, a.logits),
        "error_consistency": predictions.error_consistency(a.logits, b.logits, a.labels),
    }


SINGLE = (
    Measure("spectrum", _spectrum),
    Measure("separation", _separation),
    Measure("dimension", _dimension),
    Measure("probe", _probe),
    Measure("components", _components),
)
PAIR = (
    Measure("linear", _linear, everywhere=True),
    Measure("robust", _robust),
    Measure("rbf", _rbf, version=2),
    Measure("shape", _shape, everywhere=True),
    Measure("mutual", _mutual, everywhere=True),
    Measure("rsa", _rsa, everywhere=True),
    Measure("matching", _matching),
)
CROSS = (Measure("cross", _cross),)
LOGITS = (Measure("predictions", _predictions, everywhere=True),)
