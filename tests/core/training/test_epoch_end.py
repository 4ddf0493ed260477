"""What an epoch leaves: its curves, the best weights so far, and what is said to those who write files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.data.images import Split, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.methods import METHODS
from kd_core.methods.base import untrained
from kd_core.networks import build
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training.curves import Curves
from kd_core.training.evaluate import Score, evaluate
from kd_core.training.loop import train
from kd_core.training.step import PlainStep, _same
from kd_core.training.student import Student
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=3, batch_size=32)
EPOCH = {"test_loss": 1.0, "lr": 0.1, "seconds": 1.0, "students": 1, "skipped_steps": 0, "train_loss": 1.0}


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


@pytest.fixture
def held_out(teacher: Path) -> Loader:
    """64 images to train on, 32 others to choose by, 32 to test."""
    whole = load_dataset(teacher / "data", "Digits")
    images, labels = whole.train
    parts = whole._replace(
        train=Split(images[:64], labels[:64]),
        validation=Split(images[64:96], labels[64:96]),
        test=Split(whole.test.images[:32], whole.test.labels[:32]),
    )
    return make_loader("device", parts, seed=0, batch_size=32, augment="none", device=CPU)


def student(frozen: Frozen | None = None) -> Student:
    """A pure one, or one that learns from `frozen`."""
    pair = {"teacher": "ResNetBaby", "alpha": 0.5, "method": "logit"} if frozen else {}
    experiment = Experiment.model_validate({"dataset": "Digits", "student": "ResNetBaby", "seed": 0, **pair})
    return Student(experiment, RECIPE, frozen, CPU, torch.float32, untrained)


def end(of: Student, accuracy: float) -> bool:
    of.begin_epoch()
    logits, labels = torch.eye(10), torch.arange(10)
    of.meter.add({"loss": torch.tensor(1.0), "ce": torch.tensor(1.0)}, logits, labels)
    of.model.get_parameter("linear.bias").data.fill_(of.epoch + 1)
    return of.end_epoch(Score(loss=1.0, accuracy=accuracy), seconds=1.0, students=1)


def test_the_first_of_equally_good_epochs_is_the_best_and_each_better_one_is_told() -> None:
    of = student()
    told = [end(of, accuracy) for accuracy in (50.0, 50.0, 60.0, 55.0)]
    assert told == [True, False, True, False]
    assert of.best_epoch == 3
    assert (of.best["linear.bias"] == 3).all()


def test_best_weights_stay_those_of_the_best_epoch() -> None:
    of = student()
    end(of, 50.0)
    end(of, 50.0)
    assert of.best_epoch == 1
    assert (of.best["linear.bias"] == 1).all(), "a copy, and not what was trained on"


def test_a_term_that_comes_later_has_nothing_before_and_one_that_goes_nothing_after() -> None:
    curves = Curves()
    for terms in ({"ce": 1.0}, {"ce": 2.0, "kl": 5.0}, {"kl": 6.0}):
        curves.append(**EPOCH, train_acc=1.0, test_acc=1.0, terms=terms, gradient_norms=terms)
    expected = {"ce": [1.0, 2.0, None], "kl": [None, 5.0, 6.0]}
    assert curves.data["terms"] == curves.data["gradient_norms"] == expected


def test_curves_of_an_earlier_version_were_of_one_student_each() -> None:
    assert Curves({"test_acc": [50.0, 60.0]}).data["students"] == [1, 1]
    assert Curves({"test_acc": [50.0, 60.0], "students": [3]}).data["students"] == [1, 3]


def test_held_out_images_choose_the_best_epoch_and_are_in_the_curves(held_out: Loader) -> None:
    of, chosen = student(), list[float]()
    images = held_out.validation()
    assert images is not None

    def note(one: Student, is_best: bool) -> None:
        chosen.append(evaluate(one.model, held_out.validation() or (), torch.float32).accuracy)

    train([of], PlainStep(held_out, None), held_out, note)
    assert of.curves.data["validation_acc"] == chosen
    assert len(chosen) == RECIPE.epochs
    assert of.best_epoch == 1 + chosen.index(max(chosen))
    assert of.curves.data["test_acc"] != chosen


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_method_is_told_which_epoch_it_is(
    epoch: int, held_out: Loader, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, terms = list[int](), METHODS["logit"].terms_of

    def told_terms(*words: Any) -> dict[str, torch.Tensor]:
        told.append(int(words[-1].epoch))
        return terms(*words)

    monkeypatch.setattr(METHODS["logit"], "terms_of", told_terms)
    of = student(frozen)
    of.epoch = epoch
    of.begin_epoch()
    PlainStep(held_out, frozen)([of], next(iter(held_out.draw(0))))
    assert told == [epoch]


NAN = float("nan")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1.0, 1.0, True), (1.0, 2.0, False), (NAN, NAN, True), (NAN, 1.0, False), (1.0, NAN, False),
    ],
)  # fmt: skip
def test_the_same_bits_are_the_same_numbers_or_none_on_both_sides(left: float, right: float, same: bool) -> None:
    assert _same(torch.tensor([0.0, left]), torch.tensor([0.0, right])) is same
