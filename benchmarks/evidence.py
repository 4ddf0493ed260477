"""Does every method learn, at every strength, on real images? A campaign, and its section of docs/evidence.md.

    .venv/bin/python -m benchmarks.evidence WORKDIR [--train-images 5000] [--epochs 20] [--write docs/evidence.md]

Resumable: killed or run again, it goes on from where it was. Needs Debian's dataset-fashion-mnist, or with --images the
folder of its four published files; or an archive of CIFAR-10 as JPEG files (see benchmarks.jpeg_images), for colour.
ResNet20 teaches ResNetBaby: all methods, three alphas, two seeds. --write replaces the section of that data set alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np

from benchmarks.jpeg_images import ORIGIN, read_splits
from kd_core.data.images import Split, save_dataset
from kd_core.data.sources import SOURCES
from kd_hpc.catalogue import METHODS

BIN = Path(sys.executable).parent
ALPHAS = (0.25, 0.5, 0.75)
TOLERANCE = 2.0
"""Points below the pure student of the same seed that still count as having learned."""

CAMPAIGN = """# Written by benchmarks/evidence.py
name = "evidence"
datasets = ["{dataset}"]
teacher = "{teacher}"
student = "{student}"
methods = {methods}
alphas = {alphas}
seeds = [0, 1]
students_per_job = {students_per_job}

[recipe]
epochs = {epochs}
batch_size = {batch_size}
lr = {lr}
paraphraser_epochs = 3
amp_dtype = "{amp_dtype}"

[resources]
walltime = "06:00:00"
memory = "4gb"
cores = 1
gpus = {gpus}
data = "{data}"

[scheduler]
kind = "local"
slots = {slots}
"""


def main() -> None:
    arguments = parse()
    folder = arguments.workdir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    data, images = folder / f"data-{arguments.train_images}", ImageSet.of(arguments.images)
    prepare(images, arguments.images, data, arguments.train_images)
    campaign = folder / "evidence.toml"
    campaign.write_text(
        CAMPAIGN.format(
            dataset=images.dataset,
            teacher=arguments.teacher,
            student=arguments.student,
            methods=list(METHODS),
            alphas=list(ALPHAS),
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            lr=arguments.lr,
            data=data,
            gpus=arguments.gpus,
            amp_dtype=arguments.amp_dtype,
            slots=arguments.slots,
            students_per_job=len(METHODS) * len(ALPHAS),
        ).replace("'", '"')
    )
    subprocess.run([BIN / "kd-hpc", "queue", campaign, "--watch"], cwd=folder, check=False)
    report = [BIN / "kd-analysis", "report", "experiments", "-o", "report", "--campaign", campaign]
    subprocess.run(report, cwd=folder, check=True)
    text = section(folder / "report/tables/runs.csv", images, arguments)
    print(text)
    if arguments.write:
        arguments.write.write_text(with_section(arguments.write.read_text(), text))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--train-images", type=int, default=5000, help="first images of each class, in equal numbers")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32, help="small: few images, many steps")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--teacher", default="ResNet20")
    parser.add_argument("--student", default="ResNetBaby")
    parser.add_argument("--amp-dtype", default="auto")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--slots", type=int, default=os.cpu_count())
    parser.add_argument("--images", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--write", type=Path)
    return parser.parse_args()


class ImageSet(NamedTuple):
    """The data set's name in a campaign, and what it is called in the page."""

    dataset: str
    title: str

    @classmethod
    def of(cls, images: Path) -> ImageSet:
        return cls("FashionMNIST", "Fashion-MNIST") if images.is_dir() else cls("Cifar10", "CIFAR-10 as JPEG files")


def prepare(images: ImageSet, place: Path, root: Path, count: int) -> None:
    """The first `count` training images and half as many test images, the same number of each class."""
    if (root / images.dataset / "manifest.json").exists():
        return
    if images.dataset == "Cifar10":
        splits = read_splits(place, {"train": count, "test": count // 2})
        save_dataset(root, images.dataset, ORIGIN, splits["train"], splits["test"])
        return
    train, test = SOURCES[images.dataset].read(place)
    source = f"the first images of each class of {place.name}"
    save_dataset(root, images.dataset, source, first(train, count), first(test, count // 2))


def with_section(page: str, text: str) -> str:
    """`page` with the section that begins as `text` does replaced by it, or with it at the end."""
    heading = text.partition("\n")[0]
    before, found, rest = page.partition(f"{heading}\n")
    _, other, after = rest.partition("\n## ")
    return f"{before.rstrip()}\n\n{text.rstrip()}\n" + (f"\n## {after}" if found and other else "")


def first(split: Split, count: int) -> Split:
    per_class = count // 10
    chosen = np.sort(np.concatenate([np.flatnonzero(split.labels == label)[:per_class] for label in range(10)]))
    return Split(split.images[chosen], split.labels[chosen])


def section(runs_csv: Path, images: ImageSet, arguments: argparse.Namespace) -> str:
    """The accuracy of every cell beside the pure student's, seed by seed."""
    with runs_csv.open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["state"] in ("completed", "suspect")]
    last = {(row["method"], row["alpha"], row["student"], row["seed"]): float(row["acc_last"]) for row in rows}
    pure = {
        seed: accuracy
        for (method, _, model, seed), accuracy in last.items()
        if (method, model) == ("pure", arguments.student)
    }
    seeds = sorted({seed for method, _, _, seed in last if method != "pure" and seed in pure})
    cells = defaultdict(list)
    for (method, alpha, _, seed), accuracy in last.items():
        if method != "pure" and seed in seeds:
            cells[method, float(alpha)].append((seed, accuracy))
    lines = [
        f"| {method} | {alpha:g} | {', '.join(f'{accuracy:.2f}' for _, accuracy in found)} | "
        f"{mean(accuracy - pure[seed] for seed, accuracy in found):+.2f} |"
        for (method, alpha), found in sorted(cells.items())
    ]
    behind = [
        f"{method} at alpha {alpha:g}"
        for (method, alpha), found in sorted(cells.items())
        if mean(accuracy - pure[seed] for seed, accuracy in found) < -TOLERANCE
    ]
    verdict = (
        f"More than {TOLERANCE:g} points behind the pure student: {', '.join(behind)}."
        if behind
        else (f"Every method learned at every alpha: none is more than {TOLERANCE:g} points behind the pure student.")
    )
    teachers = [f"{last['pure', '', arguments.teacher, seed]:.2f}" for seed in seeds]
    students = [f"{pure[seed]:.2f}" for seed in seeds]
    return "\n".join(
        [
            f"## {images.title}",
            "",
            f"{arguments.train_images:,} training and {arguments.train_images // 2:,} test images (the "
            f"first of each class), {arguments.teacher} -> {arguments.student}, {arguments.epochs} epochs, batch "
            f"{arguments.batch_size}, learning rate {arguments.lr:g}, seeds {', '.join(seeds)}. Accuracy of the last "
            "epoch on the test images, in percent.",
            "",
            f"Teachers: {', '.join(teachers)}. Pure students: {', '.join(students)}.",
            "",
            "| method | alpha | accuracy by seed | mean difference to the pure student, paired by seed |",
            "|---|---|---|---|",
            *lines,
            "",
            verdict,
            f"With {len(seeds)} seed{'s' if seeds[1:] else ''} these are checks that training works, "
            "not a comparison of methods.",
            "",
            f"Made by `.venv/bin/python -m benchmarks.evidence WORKDIR --train-images {arguments.train_images} "
            f"--epochs {arguments.epochs} --batch-size {arguments.batch_size} --lr {arguments.lr:g}` on "
            f"{os.cpu_count()} CPU cores, torch {version('torch')}, Python {platform.python_version()}; "
            "the numbers are those of `kd-analysis report`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
