"""The control arm shuffled: who gets whose target, and that nothing but seed, epoch and items decides it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kd_core.data.loaders import Batch
from kd_core.networks.base import Outputs
from kd_core.training.shuffled_targets import ShuffledTargets
from tests.core.reference.images import seed_from

CPU = torch.device("cpu")
MAP = torch.zeros(1)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def batch_of(labels: list[int], first: int = 0) -> Batch:
    indices = torch.arange(first, first + 7 * len(labels), 7)
    return Batch(torch.zeros(len(labels), 3, 1, 1), torch.tensor(labels), indices)


def given_to(batch: Batch, *, seed: int = 0, epoch: int = 0) -> list[int]:
    """For each item the index of the item whose logits it gets."""
    targets = ShuffledTargets(seed, CPU)
    targets.begin_epoch(epoch)
    logits = batch.indices.double()[:, None]
    return [int(index) for index in targets(Outputs(MAP, MAP, MAP, logits), batch).logits[:, 0]]


@given(LABELS, st.integers(0, 10**6), st.integers(0, 300))
def test_targets_are_permuted_within_each_class(labels: list[int], seed: int, epoch: int) -> None:
    batch = batch_of(labels)
    received = given_to(batch, seed=seed, epoch=epoch)
    label_of = dict(zip(batch.indices.tolist(), labels, strict=True))
    assert sorted(received) == batch.indices.tolist()
    assert [label_of[index] for index in received] == labels
    alone = [place for place, label in enumerate(labels) if labels.count(label) == 1]
    assert [received[place] for place in alone] == batch.indices[alone].tolist()


@given(LABELS, st.randoms())
def test_who_gets_whose_does_not_depend_on_the_order_of_the_batch(labels: list[int], rng: object) -> None:
    batch = batch_of(labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(hash(rng) % 2**31))
    turned = Batch(batch.images, batch.labels[order], batch.indices[order])
    plain = dict(zip(batch.indices.tolist(), given_to(batch), strict=True))
    assert plain == dict(zip(turned.indices.tolist(), given_to(turned), strict=True))


def test_epochs_and_seeds_draw_anew_and_again_the_same() -> None:
    batch = batch_of([0] * 30)
    draws = [given_to(batch, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(draw) for draw in draws}) == 6
    assert draws[0] == given_to(batch)


def test_the_draw_of_an_epoch_is_the_same_in_every_version() -> None:
    """Written out once more in whole numbers: a run that goes on after an update must not draw others."""
    mask, places = 2**31 - 1, range(20)

    def scrambled(number: int) -> int:
        for factor in (0x2C1B3C6D, 0x297A2D39, 0x5A4E9B17):
            number = ((number ^ (number >> 15)) * factor) & mask
        return number ^ (number >> 15)

    for seed, epoch in ((0, 0), (1, 5)):
        lots = {place: scrambled(7 * place ^ scrambled(epoch ^ seed_from("shuffled", seed) & mask)) for place in places}
        expected = [7 * place for place in sorted(places, key=lots.__getitem__)]
        assert given_to(batch_of([3] * 20), seed=seed, epoch=epoch) == expected


def test_every_permutation_of_a_class_is_as_likely_as_any_other() -> None:
    batch, counts = batch_of([5, 5, 5]), dict[tuple[int, ...], int]()
    for epoch in range(3000):
        drawn = tuple(given_to(batch, epoch=epoch))
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 6
    statistic = sum((count - 500) ** 2 / 500 for count in counts.values())
    assert statistic < 20.5, "chi-squared with 5 degrees of freedom, once in a thousand"


def test_what_the_teacher_says_of_a_class_on_the_whole_stays() -> None:
    labels = torch.randint(4, (64,), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(64, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    batch = Batch(torch.zeros(64, 3, 1, 1), labels, torch.arange(64))
    outputs = Outputs(torch.ones(2), MAP, MAP, logits)
    shuffled = ShuffledTargets(0, CPU)(outputs, batch)
    assert not torch.equal(shuffled.logits, logits)
    torch.testing.assert_close(_class_means(shuffled.logits, labels), _class_means(logits, labels))
    assert shuffled.layer1 is outputs.layer1, "a method of logits reads nothing else"


def _class_means(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([logits[labels == label].mean(0) for label in range(4)])
