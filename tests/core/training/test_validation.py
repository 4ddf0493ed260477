"""Runs with held-out images, as real processes: what chooses the best epoch, and what the curves hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kd_core.artifacts.weights import load_network
from kd_core.data.images import load_dataset
from kd_core.data.loaders import make_loader
from kd_core.data.validation import hold_out
from kd_core.training.evaluate import evaluate
from kd_hpc.experiment import Experiment
from tests.core.processes import run
from tests.core.runs import arguments, directory, status

RUN = Experiment(dataset="Digits", student="ResNetBaby", seed=3)
HELD_OUT = 143


@pytest.fixture(scope="module")
def validated(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("validated")
    (root / "data").symlink_to(teacher / "data")
    code, output = run(arguments(root, "pure", epochs=4, seed=3, more=("--validation", str(HELD_OUT))), root / "log")
    assert code == 0, output
    return root


def curves(root: Path) -> dict[str, Any]:
    return dict(json.loads((directory(root, "pure", 3) / "metrics.json").read_text()))


def test_the_best_epoch_is_the_best_on_held_out_images(validated: Path) -> None:
    record, found = status(validated, "pure", 3), curves(validated)
    assert record["best_epoch"] == 1 + int(np.argmax(found["validation_acc"]))
    assert record["acc_best"] == found["test_acc"][record["best_epoch"] - 1]
    assert len(found["validation_acc"]) == len(found["validation_loss"]) == len(found["test_acc"]) == 4


@pytest.mark.parametrize(("file", "epoch"), [("best.pth", None), ("last.pth", 4)])
def test_curves_are_of_the_images_that_they_say(file: str, epoch: int | None, validated: Path) -> None:
    digits = hold_out(load_dataset(validated / "data", "Digits"), HELD_OUT)
    path, cpu = directory(validated, "pure", 3) / file, torch.device("cpu")
    model = load_network(path.read_bytes(), path, RUN, 10, cpu, "")
    loader = make_loader("device", digits, seed=3, batch_size=256, augment="auto", device=cpu)
    place = (epoch or status(validated, "pure", 3)["best_epoch"]) - 1
    held_out = loader.validation()
    assert held_out is not None
    for images, name in ((loader.test(), "test"), (held_out, "validation")):
        score = evaluate(model, images, torch.float32)
        assert score.accuracy == pytest.approx(curves(validated)[f"{name}_acc"][place])
        assert score.loss == pytest.approx(curves(validated)[f"{name}_loss"][place], rel=1e-5)


def test_held_out_images_are_not_trained_on(validated: Path) -> None:
    record = status(validated, "pure", 3)
    assert record["recipe"]["validation"] == HELD_OUT
    assert record["recipe_sha256"] != status_without(validated)
    digits = load_dataset(validated / "data", "Digits")
    loader = make_loader(
        "device", hold_out(digits, HELD_OUT), seed=3, batch_size=256, augment="auto", device=torch.device("cpu")
    )
    seen = sum(len(batch.labels) for batch in loader.train(0))
    assert seen == len(digits.train.labels) - HELD_OUT


def status_without(root: Path) -> str:
    """The digest of the same recipe without held-out images."""
    from kd_hpc.recipe import Recipe

    return Recipe(epochs=4, batch_size=256, paraphraser_epochs=2).identity("pure")


@pytest.mark.parametrize("count", ["5", "1430"])
def test_a_split_that_cannot_be_is_one_sentence_and_nothing_is_written(
    count: str, teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").symlink_to(teacher / "data")
    code, output = run(arguments(tmp_path, "pure", more=("--validation", count)), tmp_path / "log")
    assert code == 2
    assert f"validation = {count} would hold out" in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "experiments").exists()
