"""A validation split: training images that are not trained on, to choose the best epoch without the test set."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kd_core.data.images import Dataset, Split
from kd_core.runtime.determinism import generator
from kd_hpc.errors import UsageError


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """`dataset` with `count` of its training images held out, of each class in proportion; itself for a count of 0.

    Which ones depends on the content of the data set alone, so all seeds and machines hold out the same. Raises
    UsageError where a class would be left without an image to train on, or without one to validate on.
    """
    if not count:
        return dataset
    labels = dataset.train.labels
    shares = proportional(np.bincount(labels), count)
    _require_both(dataset.name, np.bincount(labels), shares, count)
    held = _drawn(labels, shares, dataset.sha256)
    rest = np.setdiff1d(np.arange(len(labels)), held)
    return dataset._replace(train=_part(dataset.train, rest), validation=_part(dataset.train, held))


def proportional(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` in whole shares in proportion to `sizes`, by largest remainders; ties go to the first."""
    exact = count * sizes / sizes.sum()
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: count - shares.sum()]] += 1
    return shares


def _require_both(name: str, sizes: NDArray[np.int64], shares: NDArray[np.int64], count: int) -> None:
    for label, (size, share) in enumerate(zip(sizes, shares, strict=True)):
        if size and (share >= size or share == 0):
            left = "no image to train on" if share else "none of its images"
            raise UsageError(
                f"validation = {count} would hold out {share} of the {size} images of class {label} of {name}: {left}.",
                remedy=f"Hold out at least one and fewer than all of each class, such as {_sensible(sizes)}.",
            )


def _sensible(sizes: NDArray[np.int64]) -> int:
    """A tenth, if that leaves every class one."""
    return max(int(sizes.sum()) // 10, int(np.ceil(sizes.sum() / sizes[sizes > 0].min())))


def _drawn(labels: NDArray[np.int64], shares: NDArray[np.int64], sha256: str) -> NDArray[np.int64]:
    """The places of the held-out images, in order: of each class the first of a shuffle that the content decides."""
    order = torch.randperm(len(labels), generator=generator("validation", sha256)).numpy()
    parts = [order[labels[order] == label][:share] for label, share in enumerate(shares)]
    return np.sort(np.concatenate(parts))


def _part(split: Split, places: NDArray[np.int64]) -> Split:
    return Split(split.images[places], split.labels[places])
