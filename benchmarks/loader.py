"""How much faster does the `device` loader make batches than the usual pipeline, and how much memory does a job need?

    python -m benchmarks.loader [--rounds 11] [--skip-memory] [--json FILE]

Images a second of CPU time (other processes touch it less than the clock) on one thread, from arrays to normalised
float batches of 128, on random images of CIFAR's size: the `device` loader beside a torchvision data set with PIL
transforms in a DataLoader. Every round runs all four in turn; a ratio is the median of the rounds' own ratios. Then
the memory of a process that makes an epoch's batches of
SVHN's size (73,257 + 26,032 images of 3x32x32) with either loader, its worker processes included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.rounds import machine, spread
from kd_core.bench import interleaved, make_ready
from kd_core.data.images import Dataset, Split, load_dataset, save_dataset
from kd_core.data.loaders import make_loader
from kd_core.data.sources import SOURCES

BATCH = 128
OURS, USUAL = 12_800, 1_280  # images a round: about the same time
CPU = torch.device("cpu")
MIB = 2**20


class UsualImages(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """What torchvision's CIFAR10 does with an image: array, PIL image, transforms, tensor."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Image.Image], torch.Tensor]
    ) -> None:
        self.images, self.labels = images.transpose(0, 2, 3, 1).copy(), labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


USUAL_TRANSFORMS = {
    "crop-flip": [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()],
    "resized-crop": [transforms.RandomResizedCrop(32)],
}


def random_split(count: int, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return Split(images, generator.integers(0, 10, count))


def ours(augment: str) -> Callable[[], float]:
    train = random_split(OURS, 0)
    dataset = Dataset("Cifar10", train, random_split(BATCH, 1), "")
    loader = make_loader("device", dataset, seed=0, batch_size=BATCH, augment=augment, device=CPU)
    return lambda: images_a_second(OURS, lambda: loader.train(0))


def usual(augment: str) -> Callable[[], float]:
    finish = [transforms.ToTensor(), transforms.Normalize(SOURCES["Cifar10"].mean, SOURCES["Cifar10"].deviation)]
    transform = transforms.Compose([*USUAL_TRANSFORMS[augment], *finish])
    loader = DataLoader(UsualImages(*random_split(USUAL, 0), transform), batch_size=BATCH, shuffle=True)
    return lambda: images_a_second(USUAL, lambda: loader)


def images_a_second(count: int, batches: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in batches():  # type: ignore[attr-defined]
        pass
    return count / (time.process_time() - start)


def compare_speed(rounds: int) -> dict[str, list[float]]:
    """How many times as fast the device loader is, by augmentation, round by round."""
    torch.set_num_threads(1)
    make_ready()
    print(f"\n{'':14}{'usual pipeline':>34}{'device loader':>34}{'ratio':>30}")
    variants = {(kind.__name__, name): kind(name) for name in USUAL_TRANSFORMS for kind in (usual, ours)}
    rates = interleaved({" ".join(key): variant for key, variant in variants.items()}, rounds)
    ratios = {}
    for name in USUAL_TRANSFORMS:
        usually, device = rates[f"usual {name}"], rates[f"ours {name}"]
        ratios[name] = [fast / slow for fast, slow in zip(device, usually, strict=True)]
        print(f"{name:14}{spread(usually, '/s'):>34}{spread(device, '/s'):>34}{spread(ratios[name], 'x'):>30}")
    return ratios


def tree_memory() -> float:
    """MiB of this process and its children; pages they share are counted once."""
    here = psutil.Process()
    shares = (process.memory_full_info().pss for process in (here, *here.children(recursive=True)))
    return float(sum(shares)) / MIB


def measure_memory(root: Path, kind: str, queue: multiprocessing.Queue[tuple[float, float]]) -> None:
    before = peak = tree_memory()
    dataset = load_dataset(root, "SVHN")
    loader = make_loader(kind, dataset, seed=0, batch_size=BATCH, augment="auto", device=CPU)
    for step, _ in enumerate(loader.train(0)):
        if step % 50 == 0:
            peak = max(peak, tree_memory())
    for _ in loader.test():
        peak = max(peak, tree_memory())
    queue.put((before, peak))


def compare_memory() -> None:
    context = multiprocessing.get_context("spawn")
    print(f"\nSVHN's size: {'':14}{'interpreter and torch':>24}{'most in an epoch':>20}{'the data':>12}")
    with tempfile.TemporaryDirectory() as folder:
        splits = random_split(73_257, 0), random_split(26_032, 1)
        save_dataset(Path(folder), "SVHN", "random", *splits)
        data = sum(split.images.nbytes + split.labels.nbytes for split in splits) / MIB
        for kind in ("device", "workers"):
            queue: multiprocessing.Queue[tuple[float, float]] = context.Queue()
            child = context.Process(target=partial(measure_memory, Path(folder), kind, queue))
            child.start()
            before, peak = queue.get()
            child.join()
            print(f"{kind + ' loader':27}{before:>20.0f} MiB{peak:>16.0f} MiB{data:>8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of the data loaders.")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the comparison (default 11)")
    parser.add_argument("--skip-memory", action="store_true", help="compare speed only")
    parser.add_argument("--json", type=Path, help="also keep the ratios here")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {options.rounds} rounds, one thread, batches of {BATCH}; {machine()}")
    ratios = compare_speed(options.rounds)
    if options.json:
        options.json.write_text(json.dumps(ratios))
    if not options.skip_memory:
        compare_memory()


if __name__ == "__main__":
    main()
