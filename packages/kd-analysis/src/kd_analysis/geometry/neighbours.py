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
    """The exact Euclidean graph of (N, C), N > k."""
    array = centred(x).astype(np.float32)
    distances, indices = (_all_pairs if len(array) <= FEW else _by_blocks)(array, k + 1)
    own = indices == np.arange(len(array))[:, None]
    own[~own.any(axis=1), -1] = True  # among duplicates the item itself may be missing: drop the farthest instead
    keep = ~own
    shape = (len(array), k)
    return Graph(indices[keep].reshape(shape).astype(np.int64), distances[keep].reshape(shape).astype(np.float64))


def _all_pairs(array: NDArray[np.float32], k: int) -> tuple[Array, NDArray[np.intp]]:
    """Setting up the threads of the way by blocks takes longer than every distance between few items."""
    from scipy.spatial.distance import cdist

    distances = cdist(array, array)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def _by_blocks(array: NDArray[np.float32], k: int) -> tuple[Array, NDArray[np.intp]]:
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(array).kneighbors(array)
    return distances, indices


def knn_probe(graph: Graph, labels: ArrayLike) -> float:
    """Leave-one-out accuracy in percent of the neighbours' majority vote; a tie goes to the nearest of the tied."""
    classes, of = np.unique(np.asarray(labels), return_inverse=True)
    votes = np.zeros((len(of), len(classes)))
    k = graph.indices.shape[1]
    for place in range(k):
        np.add.at(votes, (np.arange(len(of)), of[graph.indices[:, place]]), 1.0 + (k - place) * 1e-6)
    return float(100 * (votes.argmax(axis=1) == of).mean())


def mutual_knn(first: Graph, second: Graph) -> float:
    """Mean share of common neighbours (Huh 2024): 1 for the same neighbourhoods, K / (N - 1) for unrelated ones."""
    n, k = first.indices.shape
    offset = np.arange(n)[:, None] * n
    common = np.intersect1d((first.indices + offset).ravel(), (second.indices + offset).ravel(), assume_unique=True)
    return float(len(common) / (n * k))
