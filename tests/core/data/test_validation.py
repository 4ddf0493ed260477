"""Held-out training images: so many of each class, the same for everybody, and never trained on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_core.data.images import Dataset, Split
from kd_core.data.validation import hold_out, proportional
from kd_hpc.errors import UsageError

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def dataset(sizes: list[int], sha256: str = "a" * 64) -> Dataset:
    """Images that are their own numbers."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int64)
    images = np.arange(4 * len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 1, 4, 4)
    return Dataset("Digits", Split(images, labels), Split(images[:0], labels[:0]), sha256)


@given(SIZES, st.data())
def test_shares_are_proportional_to_within_one(sizes: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, sum(sizes)))
    shares = proportional(np.array(sizes), count)
    assert shares.sum() == count
    for share, size in zip(shares.tolist(), sizes, strict=True):
        assert abs(Fraction(share) - Fraction(count * size, sum(sizes))) < 1


def test_every_image_is_either_trained_on_or_held_out() -> None:
    whole = dataset([30, 20, 10])
    part = hold_out(whole, 12)
    assert part.validation is not None
    assert np.bincount(part.validation.labels).tolist() == [6, 4, 2]
    everything = np.concatenate([part.train.images, part.validation.images]).reshape(60, -1)
    labels = np.concatenate([part.train.labels, part.validation.labels])
    order = np.lexsort(everything.T[::-1])
    first = np.lexsort(whole.train.images.reshape(60, -1).T[::-1])
    assert (everything[order] == whole.train.images.reshape(60, -1)[first]).all()
    assert (labels[order] == whole.train.labels[first]).all()
    assert part.sha256 == whole.sha256
    assert part.test == whole.test


def test_which_images_are_held_out_is_decided_by_the_content_alone() -> None:
    held = [hold_out(dataset([40, 40], sha256), 20).validation for sha256 in ("a" * 64, "a" * 64, "b" * 64)]
    assert all(found is not None for found in held)
    first, again, other = (found.images.tobytes() for found in held if found)
    assert first == again != other


def test_without_a_count_nothing_is_held_out() -> None:
    whole = dataset([3, 3])
    assert hold_out(whole, 0) is whole


@pytest.mark.parametrize(
    ("sizes", "count", "told"),
    [
        ([30, 20], 50, "would hold out 30 of the 30 images of class 0 of Digits: no image to train on"),
        ([99, 1], 10, "would hold out 0 of the 1 images of class 1"),
        ([5, 5], 1, "0 of the 5 images of class 1"),
    ],
)
def test_a_split_larger_than_a_class_or_without_one_is_refused(sizes: list[int], count: int, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        hold_out(dataset(sizes), count)
    assert told in str(caught.value)
