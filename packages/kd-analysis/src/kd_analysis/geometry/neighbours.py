"""What the k nearest neighbours say; one graph per representation serves every measure here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.spectrum import Array, centred

NEIGHBOURS = 10
FEW = 1500


@dataclass(frozen=True)
class Graph:
    """Nearest neighbours without the item itself: indices (N, K), distances (N, K), nearest first."""

    indices: NDArray[np.int64]
    distances: Array


def neighbour_graph(x: ArrayLike, k: int = NEIGHBOURS) -> Graph:
    """The Euclidean graph of (N, C), N > k: neighbours are searched in single precision, distances exact."""
    array = centred(x)
    indices = (_all_pairs if len(array) <= FEW else _by_blocks)(array.astype(np.float32), k + 1)
    own = indices == np.arange(len(array))[:, None]
    own[~own.any(axis=1), -1] = True  # among duplicates the item itself may be missing: drop the farthest instead
    found = indices[~own].reshape(len(array), k).astype(np.int64)
    distances = np.empty(found.shape)
    for place in range(k):
        distances[:, place] = np.linalg.norm(array - array[found[:, place]], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Graph(np.take_along_axis(found, order, axis=1), np.take_along_axis(distances, order, axis=1))


def _all_pairs(array: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Setting up the threads of the way by blocks takes longer than every distance between few items."""
    from scipy.spatial.distance import cdist

    return np.argsort(cdist(array, array), axis=1, kind="stable")[:, :k]


def _by_blocks(array: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(array).kneighbors(array, return_distance=False)
    return np.asarray(found)


def knn_probe(graph: Graph, labels: ArrayLike) -> float:
    """Leave-one-out accuracy in percent of the neighbours' majority vote; a tie goes to the smallest of the tied
    labels, as in scikit-learn's KNeighborsClassifier."""
    classes, of = np.unique(np.asarray(labels), return_inverse=True)
    places = np.arange(len(of))[:, None] * len(classes) + of[graph.indices]
    votes = np.bincount(places.ravel(), minlength=len(of) * len(classes)).reshape(len(of), len(classes))
    return float(100 * (votes.argmax(axis=1) == of).mean())


def mutual_knn(first: Graph, second: Graph) -> float:
    """Mean share of common neighbours (Huh 2024): 1 for the same neighbourhoods, K / (N - 1) for unrelated ones."""
    n, k = first.indices.shape
    offset = np.arange(n)[:, None] * n
    common = np.intersect1d((first.indices + offset).ravel(), (second.indices + offset).ravel(), assume_unique=True)
    return float(len(common) / (n * k))
