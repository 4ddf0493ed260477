"""What the k nearest neighbours say; one graph per representation serves every measure here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_analysis.geometry.hsic import Side
from kd_analysis.geometry.spectrum import Array

NEIGHBOURS = 10
ROWS, GROUPS, MOST = 250, 256, 8
"""Items whose neighbours are sought at once; groups of items; candidates for each neighbour that are worth ranking."""
ROUNDING = np.float32(64 * np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Graph:
    """Nearest neighbours without the item itself: indices (N, K), distances (N, K), nearest first."""

    indices: NDArray[np.int64]
    distances: Array


def neighbour_graph(x: ArrayLike | Side, k: int = NEIGHBOURS, of: NDArray[np.intp] | None = None) -> Graph:
    """The exact Euclidean graph of (N, C), N > k, or its rows `of` some items; of items that are equally far the first
    ones.

    Single precision tells which few items may be among an item's nearest, double precision ranks those.
    """
    array = Side.of(x).values
    items = np.arange(len(array)) if of is None else of
    single = array.astype(np.float32)
    norms = np.einsum("ij,ij->i", single, single)
    sought = np.column_stack([single, norms]).T.copy()
    blocks = []
    for start in range(0, len(items), ROWS):
        own = items[start : start + ROWS]
        rows = np.column_stack([-2 * single[own], np.ones_like(norms[own])])
        near = _candidates(rows @ sought, norms[own], k + 1)
        blocks.append(_nearest(array, own, near, k) if near is not None else _nearest_of_all(array, own, k))
    return Graph(*(np.concatenate(side) for side in zip(*blocks, strict=True)))


def _candidates(beyond: NDArray[np.float32], norms: NDArray[np.float32], count: int) -> NDArray[np.intp] | None:
    """Flat places of (B, N) that hold the `count` nearest of each row whatever single precision did to them; None where
    so many are alike that ranking them would take longer than sorting all.

    `beyond` are squared distances less the row's own squared norm (B,). The `count`-th smallest among the least of each
    group is at least the `count`-th of all.
    """
    whole = beyond.shape[1] // GROUPS * GROUPS
    least = beyond[:, :whole].reshape(len(beyond), -1, GROUPS).min(axis=1) if whole else beyond[:, :0]
    least = np.concatenate([least, beyond[:, whole:]], axis=1)
    bound = np.partition(least, count - 1, axis=1)[:, count - 1]
    bound = bound + ROUNDING * (4 * norms + 2 * np.abs(bound))
    found = np.flatnonzero(beyond <= bound[:, None])
    return found if len(found) <= MOST * count * len(beyond) else None


def _nearest(array: Array, items: NDArray[np.intp], near: NDArray[np.intp], k: int) -> tuple[NDArray[np.int64], Array]:
    """Indices and distances of the k nearest among the candidates of the items."""
    of, other = np.divmod(near, len(array))
    others = other != items[of]
    of, other = of[others], other[others]
    distances = np.linalg.norm(array[items[of]] - array[other], axis=1)
    order = np.lexsort((other, distances, of))
    first = np.searchsorted(of, np.arange(of[-1] + 1))
    chosen = order[first[:, None] + np.arange(k)]
    return other[chosen].astype(np.int64), distances[chosen]


def _nearest_of_all(array: Array, items: NDArray[np.intp], k: int) -> tuple[NDArray[np.int64], Array]:
    """The same from all distances."""
    from scipy.spatial.distance import cdist

    distances = cdist(array[items], array)
    distances[np.arange(len(items)), items] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order.astype(np.int64), np.take_along_axis(distances, order, axis=1)


def thinned_distances(graph: Graph, x: ArrayLike | Side, kept: NDArray[np.intp], k: int) -> Array:
    """Distances (M, k) of each of the M items `kept` to its k nearest among those alone.

    They are among its neighbours in the whole graph, unless fewer than k of these are kept: then they are sought.
    """
    array = Side.of(x).values
    if graph.indices.shape[1] < k:
        return neighbour_graph(array[kept], k).distances
    is_kept = np.zeros(len(array), dtype=bool)
    is_kept[kept] = True
    near = is_kept[graph.indices[kept]]
    order = np.argsort(~near, axis=1, kind="stable")[:, :k]
    distances = np.take_along_axis(graph.distances[kept], order, axis=1)
    few = np.flatnonzero(near.sum(axis=1) < k)
    if len(few):
        distances[few] = neighbour_graph(array[kept], k, few).distances
    return distances


def knn_probe(graph: Graph, labels: ArrayLike) -> float:
    """Leave-one-out accuracy in percent of the neighbours' majority vote; a tie goes to the smallest of the tied
    labels, as in scikit-learn's KNeighborsClassifier."""
    classes, of = np.unique(np.asarray(labels), return_inverse=True)
    places = np.arange(len(of))[:, None] * len(classes) + of[graph.indices]
    votes = np.bincount(places.ravel(), minlength=len(of) * len(classes)).reshape(len(of), len(classes))
    return float(100 * (votes.argmax(axis=1) == of).mean())


def mutual_knn(first: Graph, second: Graph) -> float:
    """Mean share of common neighbours (Huh 2024): 1 for the same neighbourhoods, K / (N - 1) for unrelated ones."""
    ours, theirs = (side.indices.astype(np.int32) for side in (first, second))
    common = sum(int(np.count_nonzero(ours == column[:, None])) for column in theirs.T)
    return common / ours.size
