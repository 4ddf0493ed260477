"""Small real runs on Digits, typed as a person would type them."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kd_core.data.images import Split, load_dataset, save_dataset
from kd_core.data.prepare import prepare_dataset
from kd_hpc.experiment import Experiment

RUN = Experiment(dataset="Digits", student="ResNetBaby", seed=0)
PAIR = ["--teacher", "ResNetBaby", "--student", "ResNetBaby"]


def arguments(
    root: Path,
    method: str,
    *,
    epochs: int = 3,
    seed: int = 0,
    alpha: float = 0.5,
    more: tuple[str, ...] = (),
) -> list[str]:
    """`kd-core train` for a run below `root`; quick: one-block networks, six batches of 64, two paraphraser epochs."""
    identity = ["--model", "ResNetBaby"] if method == "pure" else ["--method", method, "--alpha", str(alpha), *PAIR]
    folders = ["--experiments", str(root / "experiments"), "--data", str(root / "data")]
    recipe = ["--epochs", str(epochs), "--paraphraser-epochs", "2", "--batch-size", "64", "--device", "cpu", *more]
    return ["train", *folders, "--dataset", "Digits", *identity, "--seed", str(seed), *recipe]


def few_digits(folder: Path, train_items: int = 360, test_items: int = 120) -> None:
    """The first of the Digits, prepared in `folder` as if there were no others."""
    with TemporaryDirectory() as whole:
        prepare_dataset("Digits", Path(whole))
        found = load_dataset(Path(whole), "Digits")
    sides = ((found.train, train_items), (found.test, test_items))
    train, test = (Split(split.images[:n], split.labels[:n]) for split, n in sides)
    save_dataset(folder, "Digits", "the first of Digits", train, test)


def place(teacher: Path, root: Path) -> Path:
    """A fresh folder with the finished teacher of `teacher`, and its data."""
    for path in teacher.glob("experiments/**/pure/ResNetBaby/0/*"):
        if path.name in ("best.pth", "status.json"):
            copy = root / path.relative_to(teacher)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    root.mkdir(exist_ok=True)
    (root / "data").symlink_to(teacher / "data")
    return root


def directory(root: Path, method: str, seed: int = 0) -> Path:
    """The only run directory of `method` and `seed` below `root`."""
    (found,) = root.glob(f"experiments/Digits/{method}/**/{seed}")
    return found


def status(root: Path, method: str, seed: int = 0) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory(root, method, seed) / "status.json").read_text())
    return content
