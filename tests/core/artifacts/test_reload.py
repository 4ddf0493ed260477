"""Looking again at a run: what is on record decides, and what is not on record is said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.artifacts import reload
from kd_core.artifacts.checkpoint_files import checkpoints, look_at
from kd_core.artifacts.reload import experiment_at, load_weights, recorded_recipe
from kd_core.artifacts.same_state import curves_off, weights_off
from kd_core.artifacts.torchfile import to_bytes
from kd_core.data.prepare import prepare_dataset
from kd_core.networks import build
from kd_hpc.catalogue import DatasetFacts
from kd_hpc.errors import CheckpointError, UsageError
from kd_hpc.recipe import Recipe
from kd_hpc.records import StatusRecord
from kd_hpc.store import BEST, Store
from tests.core.runs import RUN

CPU = torch.device("cpu")


def test_a_run_is_named_by_its_path_and_nothing_else() -> None:
    assert experiment_at("Digits/pure/ResNetBaby/0") == RUN
    with pytest.raises(UsageError, match="'Digits/pure' is no run"):
        experiment_at("Digits/pure")


def test_the_recipe_is_the_recorded_one_without_fields_nobody_knows(store: Store) -> None:
    store.write(RUN, StatusRecord(experiment=RUN, recipe={"epochs": 7, "lr": 0.2, "of_a_later_version": 1}))
    assert recorded_recipe(store, RUN) == Recipe(epochs=7, lr=0.2)


@pytest.mark.parametrize("recipe", [None, {}, {"of_a_later_version": 1}, {"epochs": -1}])
def test_a_run_without_a_recipe_says_so(recipe: dict[str, Any] | None, store: Store) -> None:
    if recipe is not None:
        store.write(RUN, StatusRecord(experiment=RUN, recipe=recipe))
    with pytest.raises(UsageError, match=r"has no recipe on record in .*experiments") as refused:
        recorded_recipe(store, RUN)
    assert RUN.label in refused.value.what


def test_weights_come_back_in_eval_mode_with_the_classes_of_the_catalogue(store: Store) -> None:
    (store.directory(RUN) / BEST).write_bytes(to_bytes({"weights": build("ResNetBaby", 10).state_dict()}))
    assert not load_weights(store, RUN, BEST, CPU).training


def test_weights_of_another_network_are_told_by_their_path(store: Store) -> None:
    path = store.directory(RUN) / BEST
    path.write_bytes(to_bytes({"weights": build("ResNet20", 10).state_dict()}))
    with pytest.raises(CheckpointError) as refused:
        load_weights(store, RUN, BEST, CPU)
    assert str(path) in refused.value.what


def test_classes_that_nobody_counted_are_asked_for(store: Store) -> None:
    own = RUN.model_copy(update={"dataset": "Mine"})
    store.directory(own).mkdir(parents=True)
    (store.directory(own) / BEST).write_bytes(to_bytes({"weights": build("ResNetBaby", 3).state_dict()}))
    with pytest.raises(CheckpointError, match="does not say how many classes Mine has") as refused:
        load_weights(store, own, BEST, CPU)
    assert "kd-core train" in refused.value.remedy


def test_classes_of_ones_own_data_are_those_on_record(store: Store) -> None:
    own = RUN.model_copy(update={"dataset": "Mine"})
    store.write(own, StatusRecord(experiment=own, provenance={"dataset": DatasetFacts(3, 6, 6, 16)._asdict()}))
    (store.directory(own) / BEST).write_bytes(to_bytes({"weights": build("ResNetBaby", 3).state_dict()}))
    assert load_weights(store, own, BEST, CPU).widths.logits == 3


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(augmentation="resized-crop", batch_size=32)])
def test_test_images_are_those_the_run_was_scored_on(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    prepare_dataset("Digits", tmp_path / "data")
    store.write(RUN, StatusRecord(experiment=RUN, recipe=recipe.model_dump(mode="json")))
    first, *_ = reload.test_loader(store, RUN, tmp_path / "data", "cpu").test()
    assert len(first.images) <= 364
    resized = first.images.float().std() < 0.95 * _plain_deviation(store, tmp_path)
    assert bool(resized) == (recipe.augmentation == "resized-crop"), "its test images are blurred"


def _plain_deviation(store: Store, root: Path) -> torch.Tensor:
    other = RUN.model_copy(update={"seed": 1})
    first, *_ = reload.test_loader(store, other, root / "data", "cpu").test()
    return first.images.float().std()


# Checkpoints and weights looked at from outside


CHECKPOINT = {"epoch": 3, "identity": {"experiment": "x"}}


def test_a_checkpoint_is_looked_at_whole(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pth").write_bytes(to_bytes(CHECKPOINT))
    assert look_at(tmp_path / "checkpoint.pth", 3) == CHECKPOINT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (to_bytes({**CHECKPOINT, "epoch": 2}), "it is of epoch 2, not 3"),
        (to_bytes({"epoch": 3}), "'identity'"),
        (to_bytes([]), "list indices"),
        (to_bytes(Path("not a tensor")), "it cannot be read: Weights only load failed"),
        (b"garbage", "it is damaged"),
        (None, "No such file"),
    ],
)
def test_a_checkpoint_that_is_another_is_refused_in_one_line(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "checkpoint.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth cannot be used: ") as refused:
        look_at(tmp_path / "checkpoint.pth", 3)
    assert reason in refused.value.what
    assert "\n" not in refused.value.what


def test_every_checkpoint_is_found_by_its_epoch(store: Store) -> None:
    at = store.directory(RUN)
    for name in ("checkpoint.pth", "checkpoint.previous.pth", "checkpoint_epoch_2.pth", "best.pth"):
        (at / name).touch()
    found = {epoch: path.name for epoch, path in checkpoints(store, RUN, StatusRecord(experiment=RUN, epoch=7)).items()}
    assert found == {7: "checkpoint.pth", 6: "checkpoint.previous.pth", 2: "checkpoint_epoch_2.pth"}


def test_weights_that_cannot_be_read_are_off(tmp_path: Path) -> None:
    weights = {"a": torch.ones(2), "b": torch.zeros(1)}
    path = tmp_path / "best.pth"
    for content in (None, b"garbage", to_bytes({"state": weights}), to_bytes([])):
        if content is not None:
            path.write_bytes(content)
        assert list(weights_off(path, weights)) == ["best.pth cannot be read"]
    path.write_bytes(to_bytes({"weights": {**weights, "b": torch.tensor([-0.0])}}))
    assert list(weights_off(path, weights)) == ["best.pth: b"]
    path.write_bytes(to_bytes({"weights": weights}))
    assert list(weights_off(path, weights)) == []


def test_curves_that_are_lacking_are_told_and_later_epochs_are_not_compared() -> None:
    expected = {"test_acc": [50.0, 60.0], "terms": {"ce": [1.0, 0.5]}}
    assert list(curves_off(expected, expected, 2)) == []
    assert list(curves_off({}, expected, 1)) == ["test_acc", "terms.ce"]
    assert list(curves_off({"test_acc": [50.0, 61.0], "terms": {"ce": [2.0]}}, expected, 1)) == ["terms.ce"]
