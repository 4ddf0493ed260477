"""Batches for training and testing: two loaders, the same bytes.

An epoch's order and augmentation are drawn from (seed, epoch) alone, so a resumed epoch needs no saved loader state
and all runs of one data set and seed see the same batches. B images of 3 channels and size S x S.
"""

from __future__ import annotations

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from kd_core.data.augment import Augmentation, augmentation
from kd_core.data.images import Dataset, Split
from kd_core.data.sources import SOURCES
from kd_core.runtime.determinism import generator

_TEST_BATCH = 1000
_WORKERS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


class Batch(NamedTuple):
    """`images` (B, 3, S, S) float32, normalised; `labels` (B,) int64; `indices` (B,) int64: which items of their split
    these are. All on the training device."""

    images: Tensor
    labels: Tensor
    indices: Tensor


Inputs = tuple[Tensor, ...]
"""What a loader draws for one batch, on the training device: to be handed back to its `make`."""


class EpochPlan(NamedTuple):
    """`order` (N,): which image comes when; `choices` (N, ...): what is done to the image at that place."""

    order: Tensor
    choices: Tensor


class Loader(Protocol):
    """Batches of one data set with one seed."""

    steps: int

    def draw(self, epoch: int, stage: str = "train") -> Iterator[Inputs]:
        """What the batches of `epoch`, counted from 0, are made from; `stage` names the stream of random choices."""
        ...

    def make(self, inputs: Inputs) -> Batch:
        """The batch of these inputs: work for the device alone, the same each time."""
        ...

    def train(self, epoch: int, stage: str = "train") -> Iterator[Batch]:
        """The batches of `epoch`, made."""
        ...

    def test(self) -> Iterator[Batch]:
        """All test images in their own order."""
        ...

    def validation(self) -> Iterator[Batch] | None:
        """All validation images in their own order; None where none are held out."""
        ...


def make_loader(
    kind: str, dataset: Dataset, *, seed: int, batch_size: int, augment: str, device: torch.device
) -> Loader:
    """The loader called `kind`: "device" keeps all bytes on the device, "workers" feeds it from processes."""
    how = augmentation(augment, mirrored=(dataset.own or SOURCES[dataset.name]).mirrored)
    cls = DeviceLoader if kind == "device" else WorkerLoader
    return cls(dataset, seed, batch_size, how, device)


class _LoaderBase(ABC):
    def __init__(
        self, dataset: Dataset, seed: int, batch_size: int, augment: Augmentation, device: torch.device
    ) -> None:
        self.dataset, self.seed, self.batch_size = dataset, seed, batch_size
        self.augment, self.device = augment, device
        self.steps = -(-len(dataset.train.labels) // batch_size)
        size, source = dataset.train.images.shape[-1], dataset.own or SOURCES[dataset.name]
        # of a whole image's size: broadcast over channels-last images, they would take six times as long
        self._mean, self._deviation = (
            _channels_last((255 * torch.tensor(values, device=device)).view(1, 3, 1, 1).expand(1, 3, size, size))
            for values in (source.mean, source.deviation)
        )

    @abstractmethod
    def draw(self, epoch: int, stage: str = "train") -> Iterator[Inputs]: ...

    @abstractmethod
    def make(self, inputs: Inputs) -> Batch: ...

    def train(self, epoch: int, stage: str = "train") -> Iterator[Batch]:
        return map(self.make, self.draw(epoch, stage))

    def test(self) -> Iterator[Batch]:
        return self._in_order(self.dataset.test)

    def validation(self) -> Iterator[Batch] | None:
        return self._in_order(self.dataset.validation) if self.dataset.validation else None

    def _in_order(self, split: Split) -> Iterator[Batch]:
        images, labels = _tensors(split)
        for start in range(0, len(labels), _TEST_BATCH):
            chosen = slice(start, start + _TEST_BATCH)
            shown, labelled = (part[chosen].to(self.device) for part in (images, labels))
            indices = torch.arange(start, start + len(labelled), device=self.device)
            yield self._batch(self.augment.at_test(shown), labelled, indices)

    def _batch(self, images: Tensor, labels: Tensor, indices: Tensor) -> Batch:
        return Batch(_channels_last(images.float().sub(self._mean).div_(self._deviation)), labels, indices)


class DeviceLoader(_LoaderBase):
    """The whole data set as bytes on the training device, batches made there."""

    def __init__(
        self, dataset: Dataset, seed: int, batch_size: int, augment: Augmentation, device: torch.device
    ) -> None:
        super().__init__(dataset, seed, batch_size, augment, device)
        images, labels = _tensors(dataset.train)
        self._pixels, self._labels = images.to(device).permute(0, 2, 3, 1).contiguous(), labels.to(device)

    def draw(self, epoch: int, stage: str = "train") -> Iterator[Inputs]:
        """For each batch the places of its images (B,), and what is done to each (B, ...)."""
        plan = plan_epoch(self.augment, self.dataset.train, self.seed, epoch, stage)
        order, choices = plan.order.to(self.device), plan.choices.to(self.device)
        return zip(torch.split(order, self.batch_size), torch.split(choices, self.batch_size), strict=True)

    def make(self, inputs: Inputs) -> Batch:
        chosen, choices = inputs
        images = self._pixels.index_select(0, chosen).permute(0, 3, 1, 2)
        return self._batch(self.augment.apply(images, choices), self._labels.index_select(0, chosen), chosen)


class WorkerLoader(_LoaderBase):
    """Batches made by worker processes that live as long as the loader, sent to the device as bytes."""

    def __init__(
        self, dataset: Dataset, seed: int, batch_size: int, augment: Augmentation, device: torch.device
    ) -> None:
        super().__init__(dataset, seed, batch_size, augment, device)
        self._schedule = _Schedule(self.steps)
        self._batches: DataLoader[Inputs] = DataLoader(
            _PlannedBatches(dataset.train, seed, batch_size, augment),
            batch_size=None,
            sampler=self._schedule,
            num_workers=_WORKERS,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
            generator=generator("workers"),
            worker_init_fn=partial(_end_with, os.getpid()),
        )

    def draw(self, epoch: int, stage: str = "train") -> Iterator[Inputs]:
        """For each batch its images (B, 3, S, S) uint8, augmented, labels (B,) and indices (B,)."""
        self._schedule.epoch, self._schedule.stage = epoch, stage
        for parts in self._batches:
            yield tuple(part.to(self.device, non_blocking=True) for part in parts)

    def make(self, inputs: Inputs) -> Batch:
        images, labels, indices = inputs
        return self._batch(images, labels, indices)


def _end_with(trainer: int, _worker: int) -> None:
    """Let this worker end when the trainer has: its own parent may be a server of forks, which outlives both."""
    if hasattr(os, "pidfd_open"):
        Thread(target=_end_after, args=(trainer,), daemon=True).start()


def _end_after(process: int) -> None:
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(process)], [], [])
    os._exit(1)


class _Schedule:
    """Names each batch by stage, epoch and number, so that workers which outlive an epoch know what to make."""

    def __init__(self, steps: int) -> None:
        self.steps, self.epoch, self.stage = steps, 0, "train"

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        return iter([(self.stage, self.epoch, number) for number in range(self.steps)])

    def __len__(self) -> int:
        return self.steps


class _PlannedBatches(TorchDataset[Inputs]):
    def __init__(self, split: Split, seed: int, batch_size: int, augment: Augmentation) -> None:
        self.split, self.seed, self.batch_size, self.augment = split, seed, batch_size, augment
        self._planned: tuple[str, int] | None = None

    def __getitem__(self, name: tuple[str, int, int]) -> Inputs:
        stage, epoch, number = name
        if self._planned != (stage, epoch):
            self._plan = plan_epoch(self.augment, self.split, self.seed, epoch, stage)
            self._planned = (stage, epoch)
        places = slice(number * self.batch_size, (number + 1) * self.batch_size)
        images, labels = _tensors(self.split)
        chosen = self._plan.order[places]
        return self.augment.apply(images[chosen], self._plan.choices[places]), labels[chosen], chosen


def plan_epoch(augment: Augmentation, split: Split, seed: int, epoch: int, stage: str) -> EpochPlan:
    """Everything random about one epoch, drawn before its first batch."""
    stream = generator("batches", seed, stage, epoch)
    count, size = len(split.labels), split.images.shape[-1]
    return EpochPlan(torch.randperm(count, generator=stream), augment.draw(count, size, stream))


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _tensors(split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.images), torch.from_numpy(split.labels)
