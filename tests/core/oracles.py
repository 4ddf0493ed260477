"""The losses once more, in float64 and numpy, written from their definitions and not from the code under test.

Loops wherever a loop is plainer than an index trick: these are read to be believed, not run to be fast.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def logit(student: ArrayLike, teacher: ArrayLike, temperature: float) -> float:
    total = 0.0
    student, teacher = _float64(student), _float64(teacher)
    for s, t in zip(student, teacher, strict=True):
        log_q, log_p = _log_softmax(s / temperature), _log_softmax(t / temperature)
        total += sum(math.exp(lp) * (lp - lq) for lp, lq in zip(log_p, log_q, strict=True))
    return temperature**2 * total / len(student)


def hint(projected: ArrayLike, target: ArrayLike) -> float:
    projected, target = _same_size(_float64(projected), _float64(target))
    return float(np.mean((projected - target) ** 2))


def attention(student: ArrayLike, teacher: ArrayLike) -> float:
    student, teacher = _same_size(*((_float64(maps) ** 2).sum(axis=1, keepdims=True) for maps in (student, teacher)))
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        total += float(np.sum((_unit(s.ravel()) - _unit(t.ravel())) ** 2))
    return total / len(student)


def factor(student: ArrayLike, teacher: ArrayLike) -> float:
    student, teacher = _same_size(_float64(student), _float64(teacher))
    rows = [np.abs(_unit(s.ravel()) - _unit(t.ravel())).mean() for s, t in zip(student, teacher, strict=True)]
    return float(np.mean(rows))


def nst(student: ArrayLike, teacher: ArrayLike) -> float:
    student, teacher = _same_size(_float64(student), _float64(teacher))
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        s, t = ([_unit(channel.ravel()) for channel in maps] for maps in (s, t))
        total += _mean_kernel(t, t) + _mean_kernel(s, s) - 2 * _mean_kernel(s, t)
    return total / len(student)


def rkd_distance(student: ArrayLike, teacher: ArrayLike) -> float:
    psi_student, psi_teacher = _relative_distances(_float64(student)), _relative_distances(_float64(teacher))
    pairs = list(itertools.product(range(len(psi_student)), repeat=2))
    return sum(_smooth_l1(psi_student[pair] - psi_teacher[pair]) for pair in pairs) / len(pairs)


def rkd_angle(student: ArrayLike, teacher: ArrayLike) -> float:
    student, teacher = _float64(student), _float64(teacher)
    triplets = list(itertools.product(range(len(student)), repeat=3))
    return sum(_smooth_l1(_cosine(student, *ijk) - _cosine(teacher, *ijk)) for ijk in triplets) / len(triplets)


def dkd_target(student: ArrayLike, teacher: ArrayLike, labels: Sequence[int], temperature: float) -> float:
    total = 0.0
    for s, t, y in zip(_float64(student), _float64(teacher), labels, strict=True):
        s, t = (np.array([row[y], _log_sum(np.delete(row, y))]) for row in (s / temperature, t / temperature))
        total += _divergence(s, t)
    return temperature**2 * total / len(labels)


def dkd_others(student: ArrayLike, teacher: ArrayLike, labels: Sequence[int], temperature: float) -> float:
    total = 0.0
    for s, t, y in zip(_float64(student), _float64(teacher), labels, strict=True):
        total += _divergence(np.delete(s, y) / temperature, np.delete(t, y) / temperature)
    return temperature**2 * total / len(labels)


def dist_inter(student: ArrayLike, teacher: ArrayLike, temperature: float) -> float:
    return temperature**2 * (1 - _mean_correlation(*_softmaxes(student, teacher, temperature)))


def dist_intra(student: ArrayLike, teacher: ArrayLike, temperature: float) -> float:
    return temperature**2 * (1 - _mean_correlation(*(rows.T for rows in _softmaxes(student, teacher, temperature))))


def similarity(student: ArrayLike, teacher: ArrayLike) -> float:
    matrices = []
    for maps in (_float64(student), _float64(teacher)):
        rows = [np.array([float(np.sum(a * b)) for b in maps]) for a in maps]
        matrices.append(np.array([_unit(row) for row in rows]))
    return float(np.mean((matrices[0] - matrices[1]) ** 2))


def gradient(loss: Callable[[Array], float], at: ArrayLike, step: float = 1e-5) -> Array:
    """Central differences of `loss` in every element of `at`."""
    point = _float64(at)
    slopes = np.empty_like(point)
    for index in np.ndindex(point.shape):
        shift = np.zeros_like(point)
        shift[index] = step
        slopes[index] = (loss(point + shift) - loss(point - shift)) / (2 * step)
    return slopes


def average_down(maps: Array, height: int, width: int) -> Array:
    """(B, C, H, W) -> (B, C, height, width): each cell the mean of the positions its share of the map touches."""
    H, W = maps.shape[2:]
    result = np.empty((*maps.shape[:2], height, width))
    for row, column in itertools.product(range(height), range(width)):
        rows = slice(math.floor(row * H / height), math.ceil((row + 1) * H / height))
        columns = slice(math.floor(column * W / width), math.ceil((column + 1) * W / width))
        result[:, :, row, column] = maps[:, :, rows, columns].mean(axis=(2, 3))
    return result


def _float64(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _same_size(left: Array, right: Array) -> tuple[Array, Array]:
    height, width = (min(left.shape[axis], right.shape[axis]) for axis in (2, 3))
    return average_down(left, height, width), average_down(right, height, width)


def _log_softmax(row: Array) -> Array:
    shifted: Array = row - row.max()
    return shifted - math.log(float(np.sum(np.exp(shifted))))


def _log_sum(row: Array) -> float:
    return float(row.max()) + math.log(float(np.sum(np.exp(row - row.max()))))


def _divergence(student: Array, teacher: Array) -> float:
    """KL(softmax(teacher) || softmax(student))"""
    log_q, log_p = _log_softmax(student), _log_softmax(teacher)
    return float(np.sum(np.exp(log_p) * (log_p - log_q)))


def _softmaxes(student: ArrayLike, teacher: ArrayLike, temperature: float) -> list[Array]:
    both = (_float64(student), _float64(teacher))
    return [np.exp([_log_softmax(row / temperature) for row in logits]) for logits in both]


def _mean_correlation(left: Array, right: Array) -> float:
    """Pearson's, of each pair of rows; where one is the same everywhere, 0."""
    pairs = [[row / row.max() - (row / row.max()).mean() for row in pair] for pair in zip(left, right, strict=True)]
    return float(np.mean([np.dot(_unit(s), _unit(t)) for s, t in pairs]))


def _unit(vector: Array) -> Array:
    length = math.sqrt(float(np.sum(vector**2)))
    return vector / length if length > 0 else vector


def _mean_kernel(left: list[Array], right: list[Array]) -> float:
    return float(np.mean([np.dot(x, y) ** 2 for x in left for y in right]))


def _smooth_l1(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def _relative_distances(rows: Array) -> Array:
    distances = np.array([[math.sqrt(float(np.sum((a - b) ** 2))) for b in rows] for a in rows])
    return distances / distances[distances > 0].mean() if (distances > 0).any() else distances


def _cosine(rows: Array, i: int, j: int, k: int) -> float:
    return float(np.dot(_unit(rows[i] - rows[j]), _unit(rows[k] - rows[j])))
