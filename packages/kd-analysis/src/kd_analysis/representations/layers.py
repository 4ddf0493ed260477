"""A file's layers and logits in memory, with what was already computed from each."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from kd_analysis.geometry import cka, neighbours, nulls, rbf, similarity, spectrum
from kd_analysis.geometry.components import Components, independent_components
from kd_analysis.geometry.hsic import Side
from kd_analysis.geometry.nulls import ByClass, Classes
from kd_analysis.geometry.superclasses import superclasses
from kd_analysis.representations.npz import LAYERS, Representations

Labels = NDArray[np.int64]
RSA_ITEMS, ICA_ITEMS, NULL_ITEMS = 500, 2_000, 1_000


def classes_of(labels: Labels) -> Classes:
    """The labels' classes, one object for all files of the same items: of many classes it would be most of a file."""
    return _classes(np.ascontiguousarray(labels, dtype=np.int64).tobytes())


@lru_cache(maxsize=8)
def _classes(labels: bytes) -> Classes:
    return Classes(np.frombuffer(labels, dtype=np.int64))


class Layer:
    """One layer of one file: `stored` (N, C), the same centred as `side`, `labels` (N,), and coarse labels where the
    data set has them."""

    def __init__(
        self, name: str, values: NDArray[np.float32], classes: Classes, labels: Labels, coarse: Labels | None
    ) -> None:
        self.name = name
        self.stored = values
        self.side = Side(values)
        self._scores: dict[int, NDArray[np.float64]] = {}
        self.classes = classes
        self.labels = labels
        self.coarse = coarse

    @property
    def values(self) -> NDArray[np.float64]:
        """The representation (N, C), centred."""
        return self.side.values

    @cached_property
    def graph(self) -> neighbours.Graph:
        return neighbours.neighbour_graph(self.side, min(neighbours.NEIGHBOURS, len(self.side) - 2))

    @cached_property
    def neighbours_by_class(self) -> NDArray[np.float64]:
        return nulls.neighbours_by_class(self.graph.indices, self.classes)

    @cached_property
    def by_class(self) -> ByClass:
        return ByClass(self.side, self.classes)

    @cached_property
    def class_residual(self) -> Side:
        return Side(cka.class_residual(self.values, self.labels))

    @cached_property
    def without_top_component(self) -> Side:
        return Side(cka.without_top_component(self.values))

    def scores(self, components: int) -> NDArray[np.float64]:
        """Scores (N, K) on the K largest principal components."""
        if components not in self._scores:
            self._scores[components] = spectrum.scores(self.values, components)
        return self._scores[components]

    @cached_property
    def rsa_items(self) -> NDArray[np.int64]:
        return similarity.stratified(self.labels, RSA_ITEMS)

    @cached_property
    def ranked_dissimilarities(self) -> NDArray[np.float64]:
        return similarity.ranks(similarity.dissimilarities(self.values[self.rsa_items]))

    @property
    def rank_matrix(self) -> NDArray[np.float64]:
        from scipy.spatial.distance import squareform

        return np.asarray(squareform(self.ranked_dissimilarities))

    @cached_property
    def rsa_classes(self) -> Classes:
        return classes_of(self.labels[self.rsa_items])

    @cached_property
    def ica_items(self) -> NDArray[np.int64]:
        return similarity.stratified(self.labels, ICA_ITEMS)

    @cached_property
    def components(self) -> Components:
        return independent_components(self.stored[self.ica_items])

    @cached_property
    def few(self) -> NDArray[np.float64]:
        """The items that the best of several layers is sought on."""
        return np.asarray(self.values[similarity.stratified(self.labels, NULL_ITEMS)])

    @cached_property
    def few_classes(self) -> Classes:
        return classes_of(self.labels[similarity.stratified(self.labels, NULL_ITEMS)])

    @cached_property
    def order(self) -> NDArray[np.int64]:
        return np.random.default_rng(0).permutation(len(self.side))

    @cached_property
    def median(self) -> float:
        return rbf.first_median(self.side, self.order)


class Prepared:
    """A file's layers by name and its logits, on the items every run is compared on."""

    def __init__(self, found: Representations, dataset: str) -> None:
        cut = found.cut()
        coarse = superclasses(dataset, cut.labels)
        self.classes = classes_of(cut.labels)
        self.layers = {name: Layer(name, cut.layers[name], self.classes, cut.labels, coarse) for name in LAYERS}
        self.logits, self.labels, self.coarse = cut.logits, cut.labels, coarse

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        return np.asarray(self.logits.argmax(axis=1))
