"""Does every method learn, at every strength, on real images? Three campaigns, and their section of docs/evidence.md.

    python -m benchmarks.evidence WORKDIR --images ARCHIVE [--train-images 2000] [--epochs 10] [--write PAGE]

Resumable: killed or run again, it goes on from where it was. ARCHIVE is CIFAR-10 as JPEG files (cifar10-jpeg.tar.xz), a
part of Tiny ImageNet in its published structure (tiny-imagenet-20.zip), or the folder of Fashion-MNIST's published
files. ResNet20 teaches ResNetBaby: all methods, three alphas, two seeds, against the student on hard labels. The other
two campaigns ask why a method is behind: alpha 0.75 once more, with the labels' loss at its full weight (mix = "sum"),
and with weights that let every method pull half as hard as the labels (calibrated = 0.5). --write replaces the section
of that data set alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.evidence.images import ImageSet, lay_out, save_fashion
from benchmarks.evidence.page import Question, section, with_section
from kd_hpc.catalogue import METHODS

BIN = Path(sys.executable).parent
ALPHAS = (0.25, 0.5, 0.75)

CAMPAIGN = """# Written by python -m benchmarks.evidence
name = "{name}"
datasets = ["{dataset}"]
teacher = "{teacher}"
student = "{student}"
methods = {methods}
alphas = {alphas}
seeds = {seeds}
controls = ["hard"]
students_per_job = 24
{grid}
[recipe]
epochs = {epochs}
batch_size = {batch_size}
lr = {lr}
paraphraser_epochs = 3
amp_dtype = "{amp_dtype}"
{data}
[resources]
walltime = "06:00:00"
memory = "4gb"
cores = 1
gpus = {gpus}

[scheduler]
kind = "local"
slots = {slots}
"""


def main() -> None:
    options = parse()
    folder = options.workdir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    images = ImageSet.of(options.images)
    campaigns = [
        write_campaign(folder, "evidence", images, options, ALPHAS, ""),
        write_campaign(folder, "labels-in-full", images, options, ALPHAS[-1:], '\n[grid]\nmix = ["sum"]\n'),
        write_campaign(folder, "equal-strength", images, options, ALPHAS[-1:], "\n[grid]\ncalibrated = [0.5]\n"),
    ]
    prepare(folder, images, options, campaigns[0])
    for campaign in campaigns:
        subprocess.run([BIN / "kd-hpc", "queue", campaign, "--watch"], cwd=folder, check=False)
    question = Question(images, options.train_images, options.test_images, options.images.name)
    text = section(folder / "experiments", question, options)
    print(text)
    if options.write:
        options.write.write_text(with_section(options.write.read_text(), text))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--images", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--train-images", type=int, default=2000, help="first images of each class, in equal numbers")
    parser.add_argument("--test-images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32, help="small: few images, many steps")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--teacher", default="ResNet20")
    parser.add_argument("--student", default="ResNetBaby")
    parser.add_argument("--amp-dtype", default="auto")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--slots", type=int, default=os.cpu_count())
    parser.add_argument("--write", type=Path)
    return parser.parse_args()


def write_campaign(
    folder: Path, name: str, images: ImageSet, options: argparse.Namespace, alphas: Sequence[float], grid: str
) -> Path:
    given = {name: getattr(options, name) for name in ("teacher", "student", "epochs", "batch_size", "lr", "amp_dtype")}
    campaign = folder / f"{name}.toml"
    campaign.write_text(
        CAMPAIGN.format(
            **given,
            name=name,
            dataset=images.dataset,
            methods=json.dumps(list(METHODS)),
            alphas=list(alphas),
            seeds=list(range(options.seeds)),
            grid=grid,
            data=images.table(folder / "images"),
            gpus=options.gpus,
            slots=options.slots,
        )
    )
    return campaign


def prepare(folder: Path, images: ImageSet, options: argparse.Namespace, campaign: Path) -> None:
    if (folder / "data" / images.dataset / "manifest.json").exists():
        return
    if not images.is_files:
        save_fashion(options.images, folder / "data", options.train_images, options.test_images)
        return
    lay_out(options.images, folder / "images", options.train_images, options.test_images)
    command = [str(BIN / "kd-core"), "data", "prepare", images.dataset, "--campaign", str(campaign)]
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
