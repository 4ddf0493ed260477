"""A real `kd-core train`, killed and resumed, comes to what thirty lines of plain torch come to: bit for bit.

Every field of the recipe is away from its default, so that none can be ignored unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kd_core.networks import build
from kd_core.teacher.frozen import freeze
from kd_hpc.catalogue import METHODS
from kd_hpc.command import recipe_arguments
from kd_hpc.recipe import Recipe
from tests.core.processes import dies_at, run
from tests.core.reference.images import Images
from tests.core.reference.trainer import DTYPES, Ask, Result, train, trained_teacher
from tests.core.runs import few_digits

ALPHA = 0.6
MODEL = "ResNetBaby"
WEIGHTS = {
    "logit.kl": 0.7, "factor_transfer.factor": 300.0, "attention_transfer.attention": 2.0, "fitnets.hint": 0.5,
    "rkd.distance": 3.0, "rkd.angle": 1.5, "nst.nst": 20.0,
}  # fmt: skip
COMMON: dict[str, Any] = {
    "batch_size": 32, "lr": 0.07, "momentum": 0.8, "weight_decay": 0.004, "label_smoothing": 0.2, "temperature": 2.5,
    "watchdog_skips": 50, "paraphraser_epochs": 3, "representation_epochs": (2, 4),
}  # fmt: skip
OVERFLOWING = {"nst.nst": 400.0, "fitnets.hint": 100.0}
"""Their gradients overflow at the first scales that a scaler tries."""
RECIPES = {
    0: Recipe(**COMMON, epochs=5, weights=WEIGHTS, augmentation="crop-flip", amp_dtype="float32"),
    1: Recipe(
        **COMMON,
        epochs=4,
        weights={**WEIGHTS, **OVERFLOWING},
        augmentation="resized-crop",
        amp_dtype="float16",
        step="plain",
    ),
}
"""By seed."""


@dataclass
class Case:
    """What real processes left below `root`, and what they were asked for."""

    root: Path
    seed: int
    recipe: Recipe

    def words(self, *identity: str) -> list[str]:
        folders = ["--experiments", str(self.root / "experiments"), "--data", str(self.root / "data")]
        return ["train", *folders, "--dataset", "Digits", "--seed", str(self.seed), "--device", "cpu", *identity]

    def directory(self, method: str) -> Path:
        (found,) = self.root.glob(f"experiments/Digits/{method}/**/{self.seed}")
        return found

    def curves(self, method: str) -> dict[str, list[float]]:
        """metrics.json with groups before a dot."""
        content = json.loads((self.directory(method) / "metrics.json").read_text())
        del content["checksum"]
        groups = {group: content.pop(group) for group in ("terms", "gradient_norms")}
        named = {f"{group}.{name}": groups[group][name] for group in groups for name in groups[group]}
        return {**content, **named}

    def weights(self, method: str, file: str) -> dict[str, torch.Tensor]:
        content: dict[str, torch.Tensor] = torch.load(self.directory(method) / f"{file}.pth", weights_only=True)[
            "weights"
        ]
        return content


DEATHS = [
    ("paraphraser.checkpoint.pth", "factor_transfer", 1),
    ("paraphraser.checkpoint.pth", "factor_transfer", 1),
    ("checkpoint.pth", "fitnets", 1),
    ("metrics.json", "rkd", 2),
]
"""Killed as such a file of such a run is published for the so manieth time; the next start dies by the next line."""


@pytest.fixture(scope="module", params=RECIPES, ids=lambda seed: RECIPES[seed].amp_dtype)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The teacher, then a student of every method in one job, killed again and again."""
    case = Case(tmp_path_factory.mktemp("reference"), request.param, RECIPES[request.param])
    few_digits(case.root / "data", 112, 60)  # an epoch is three batches of 32 and one of 16
    pure = case.words("--model", MODEL, *recipe_arguments(case.recipe.of()))
    train_through([("checkpoint.pth", "pure", 2), ("checkpoint.pth", "pure", 1)], pure, case.root / "pure.log")
    first, *others = METHODS
    students = ["--method", first, "--alpha", str(ALPHA), "--teacher", MODEL, "--student", MODEL]
    beside = [word for method in others for word in ("--beside", f"{method}:{ALPHA}")]
    together = case.words(*students, *beside, *recipe_arguments(case.recipe.of(*METHODS)))
    train_through(DEATHS, together, case.root / "log")
    return case


def train_through(deaths: list[tuple[str, str, int]], words: list[str], log: Path) -> None:
    for name, where, count in deaths:
        assert run(words, log, prelude=dies_at(name, count, where=where))[0] < 0
    code, printed = run(words, log)
    assert code == 0, printed


@pytest.fixture(scope="module")
def reference(case: Case) -> Callable[[str], Result]:
    """The same run in plain torch, by method; each is trained once."""
    images = Images(case.root / "data/Digits", case.recipe.augmentation)
    recipe: Mapping[str, Any] = case.recipe.model_dump()
    pure = train(images, MODEL, case.seed, recipe, "pure", 0.0, None)
    ask = asked(case, pure.weights["best"])
    done = {"pure": pure}

    def result(method: str) -> Result:
        if method not in done:
            done[method] = train(images, MODEL, case.seed, recipe, method, ALPHA, ask)
        return done[method]

    return result


def asked(case: Case, weights: dict[str, torch.Tensor]) -> Ask:
    """The teacher as the step asks it: folded for the fast one, which tests/core/teacher holds against the plain."""
    dtype = DTYPES[case.recipe.amp_dtype]
    if case.recipe.step == "plain":
        return trained_teacher(MODEL, weights, dtype)
    network = build(MODEL, 10).to(memory_format=torch.channels_last)
    network.load_state_dict(weights)
    return freeze(network.eval(), dtype, fold=True)


every_run = pytest.mark.parametrize("method", ["pure", *METHODS])


@every_run
def test_weights_are_those_of_plain_torch_to_the_bit(
    method: str, case: Case, reference: Callable[[str], Result]
) -> None:
    expected = reference(method)
    for file in ("last", "best"):
        found = case.weights(method, file)
        assert found.keys() == expected.weights[file].keys()
        for name, value in expected.weights[file].items():
            assert torch.equal(found[name], value), (file, name)


@every_run
def test_every_curve_is_that_of_plain_torch(method: str, case: Case, reference: Callable[[str], Result]) -> None:
    expected, found = reference(method).curves, case.curves(method)
    assert set(found) - {"seconds", "students"} == set(expected) - {"paraphraser"}
    for name in found.keys() - {"seconds", "students"}:
        assert found[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-9), name
    assert found["students"][-1] == (1 if method == "pure" else len(METHODS))


@every_run
def test_the_record_tells_last_and_best_as_plain_torch_does(
    method: str, case: Case, reference: Callable[[str], Result]
) -> None:
    record, expected = json.loads((case.directory(method) / "status.json").read_text()), reference(method)
    accuracies = expected.curves["test_acc"]
    assert record["state"] in ("completed", "suspect")
    assert (record["epoch"], record["best_epoch"]) == (case.recipe.epochs, expected.best_epoch)
    assert record["acc_last"] == pytest.approx(accuracies[-1])
    assert record["acc_best"] == pytest.approx(max(accuracies))


def test_best_and_last_are_not_the_same_everywhere(case: Case, reference: Callable[[str], Result]) -> None:
    best = [reference(method).best_epoch for method in ("pure", *METHODS)]
    assert any(epoch < case.recipe.epochs for epoch in best)
    assert len(set(best)) > 1


@every_run
def test_representations_are_of_the_weights_they_are_named_for(
    method: str, case: Case, reference: Callable[[str], Result]
) -> None:
    expected = reference(method).representations
    assert {path.stem for path in case.directory(method).glob("*.npz")} == set(expected)
    labels = np.load(case.root / "data/Digits/test_labels.npy")
    for file, arrays in expected.items():
        found = np.load(case.directory(method) / f"{file}.npz")
        assert set(found) == {*arrays, "labels", "item_index"}
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values.numpy(), err_msg=f"{file} {name}")
        np.testing.assert_array_equal(found["labels"], labels)
        np.testing.assert_array_equal(found["item_index"], np.arange(len(labels)))


def test_the_first_stage_is_that_of_plain_torch(case: Case, reference: Callable[[str], Result]) -> None:
    expected = reference("factor_transfer")
    own = case.weights("factor_transfer", "paraphraser")
    (shared,) = case.directory("pure").glob("paraphraser-*.pth")
    for found in (own, torch.load(shared, weights_only=True)["weights"]):
        for ours, theirs in zip(found.values(), expected.weights["paraphraser"].values(), strict=True):
            assert torch.equal(ours, theirs)
    told = [
        line.rpartition(" ")[2] for line in (case.root / "log").read_text().splitlines() if "paraphraser epoch" in line
    ]
    assert told, "not every epoch lived to be told"
    assert [float(loss) for loss in told] == pytest.approx(expected.curves["paraphraser"][-len(told) :], abs=1e-6)


@pytest.mark.parametrize("method", ["pure", "rkd"])
@pytest.mark.parametrize("weights", ["best", "last"])
def test_evaluate_scores_in_float32_what_training_left(
    weights: str, method: str, case: Case, reference: Callable[[str], Result]
) -> None:
    label = str(case.directory(method).relative_to(case.root / "experiments"))
    folders = ["--experiments", str(case.root / "experiments"), "--data", str(case.root / "data"), "--device", "cpu"]
    code, printed = run(
        ["evaluate", label, *folders, "--weights", weights, "--json"], case.root / f"{method}-{weights}"
    )
    assert code == 0, printed
    logits = reference(method).representations["representations" + ("_best" if weights == "best" else "")]["logits"]
    labels = torch.from_numpy(np.load(case.root / "data/Digits/test_labels.npy"))
    found = json.loads(printed)
    assert found["accuracy"] == pytest.approx(100 * float((logits.argmax(1) == labels).double().mean()))
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)


def test_the_scaler_had_to_find_its_scale(case: Case) -> None:
    skipped = {method: sum(case.curves(method)["skipped_steps"]) for method in METHODS}
    assert any(skipped.values()) == (case.recipe.amp_dtype == "float16"), skipped
