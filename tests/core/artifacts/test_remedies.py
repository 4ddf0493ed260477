"""The command that is told where weights are missing or damaged is the whole command, for that folder and recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_core.artifacts.remedies import begin_anew, train_it
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store

PURE = Experiment(dataset="Digits", student="ResNet20", seed=3)
RKD = Experiment(dataset="Digits", method="rkd", alpha=0.5, teacher="ResNet20", student="ResNetBaby", seed=3)


def stored(root: Path, run: Experiment, state: State, recipe: Recipe) -> Store:
    store = Store(root)
    store.write(run, StatusRecord(experiment=run, state=state, recipe=recipe.model_dump(mode="json")))
    return store


def test_a_run_that_never_began_is_to_be_trained_first(tmp_path: Path) -> None:
    assert train_it(Store(tmp_path), PURE) == (
        f"Train it first: kd-core train --experiments {tmp_path} --dataset Digits --model ResNet20 --seed 3"
    )


@pytest.mark.parametrize("state", [State.IN_PROGRESS, State.FAILED])
def test_a_run_under_way_goes_on_with_its_own_recipe(state: State, tmp_path: Path) -> None:
    store = stored(tmp_path, PURE, state, Recipe(epochs=7, lr=0.05))
    assert train_it(store, PURE).startswith("Train it first: kd-core train ")
    assert train_it(store, PURE).endswith(" --seed 3 --epochs 7 --lr 0.05")


def test_a_completed_run_is_to_be_put_back_or_begun_anew(tmp_path: Path) -> None:
    root = tmp_path / "my runs"
    store = stored(root, RKD, State.COMPLETED, Recipe(weights={"rkd.angle": 5.0}))
    command = (
        f"kd-core train --experiments '{root}' --dataset Digits --method rkd --alpha 0.5 --teacher ResNet20 "
        "--student ResNetBaby --seed 3 --weight rkd.angle=5.0"
    )
    anew = f"kd-hpc retry --anew {RKD.label} --experiments '{root}', then {command}"
    assert begin_anew(store, RKD) == anew
    assert train_it(store, RKD) == f"Put that file back from a copy, or train the run again: {anew}"


def test_in_the_usual_folder_nothing_names_it_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = stored(Path("experiments"), PURE, State.COMPLETED, Recipe())
    assert begin_anew(store, PURE).startswith(f"kd-hpc retry --anew {PURE.label}, then kd-core train ")
