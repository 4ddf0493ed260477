"""What a method trains on its teacher alone: seeded, kept for all students, and set aside where it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd_core.artifacts.torchfile import read_torch, to_bytes
from kd_core.networks import build
from kd_core.runtime.determinism import seed_of
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training import first_stage
from kd_core.training.first_stage import TeachersStage
from kd_hpc.errors import StoreError
from kd_hpc.recipe import Recipe
from kd_hpc.store import SHARED
from tests.core.stages import CPU, no_permission, remember, stage


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


def trained_once(stage: TeachersStage, begun: list[Tensor] | None = None) -> dict[str, Tensor]:
    """The weights of the smallest of stages."""
    found = stage(
        "tiny",
        lambda: remember(nn.Linear(64, 64), [] if begun is None else begun),
        lambda module, of: module(of.layer3.mean((2, 3))).square().mean(),
    )
    return {name: value.clone() for name, value in found.items()}


def test_a_first_stage_is_seeded_by_its_name_and_the_runs_seed(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    begun: list[Tensor] = []
    with stage(teacher, frozen, tmp_path, []) as trained:
        trained_once(trained, begun)
    torch.manual_seed(seed_of("tiny", 0))
    assert torch.equal(begun[0], nn.Linear(64, 64).weight)


OTHERS = {
    "garbage": (b"not a file of torch", "it is damaged"),
    "nothing": (b"", "it is damaged"),
    "of another recipe": (to_bytes({"made_from": {"stage": "tiny", "epochs": 1}}), "it was made from another teacher"),
    "without weights": (to_bytes({}), "it holds no tiny"),
}


ALIKE = {
    "default": Recipe(),
    "a student's": Recipe(epochs=7, temperature=2.0, paraphraser_epochs=3),
    "rate": Recipe(lr=0.01),
    "batch": Recipe(batch_size=32),
}


def test_recipes_that_train_a_stage_alike_share_it(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    with stage(teacher, frozen, tmp_path, []) as made:
        keys = {name: replace(made, recipe=recipe).recipe_key for name, recipe in ALIKE.items()}
    assert keys["default"] is keys["a student's"] is None
    assert keys["rate"] != keys["batch"]
    assert len(str(keys["rate"])) == len(str(keys["batch"])) == 8


@pytest.mark.parametrize(("damage", "reason"), OTHERS.values(), ids=OTHERS)
def test_what_a_first_stage_cannot_use_is_set_aside_and_said(
    damage: bytes, reason: str, teacher: Path, frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[float] = []
    with stage(teacher, frozen, tmp_path, told) as trained:
        first = trained_once(trained)
        (kept,) = tmp_path.glob("tiny-*.pth")
        kept.write_bytes(damage)
        again = trained_once(trained)
    assert len(told) == 2 * 3, "trained anew"
    assert all(torch.equal(first[name], again[name]) for name in first)
    said = capsys.readouterr().err
    assert f"{kept} was not used and moved to {kept.name}.quarantined.0: {reason}" in said
    assert (tmp_path / f"{kept.name}.quarantined.0").read_bytes() == damage


def test_a_teachers_file_that_cannot_be_read_is_said_and_left(
    teacher: Path,
    frozen: Frozen,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("own", "shared"):
        (tmp_path / name).mkdir()
    with stage(teacher, frozen, tmp_path / "own", []) as trained:
        elsewhere = replace(trained, shared=tmp_path / "shared")
        trained_once(elsewhere)
        (kept,) = (tmp_path / "shared").glob("tiny-*.pth")
        with monkeypatch.context() as patch:
            patch.setattr(first_stage, "read_torch", no_permission)
            trained_once(elsewhere)
    assert f"{kept} was not used: it cannot be read: Permission denied\n" in capsys.readouterr().err
    assert read_torch(kept, CPU)["weights"]


def test_a_first_stage_of_an_earlier_version_is_used(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    told: list[float] = []
    with stage(teacher, frozen, tmp_path, told) as trained:
        first = trained_once(trained)
        for path in tmp_path.glob("tiny*.pth"):
            content = torch.load(path, weights_only=True)
            del content["made_from"]  # which it did not say
            torch.save(content, path)
        again = trained_once(trained)
    assert len(told) == 3, "trained once"
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_damaged_checkpoint_of_a_first_stage_is_said_on_stderr(
    teacher: Path, frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.checkpoint.pth").write_bytes(b"not a checkpoint")
    with stage(teacher, frozen, tmp_path, []) as trained:
        trained_once(trained)
    printed = capsys.readouterr()
    assert "tiny.checkpoint.pth" in printed.err
    assert not printed.out


def test_a_first_stage_that_was_killed_goes_on_after_its_last_epoch(
    teacher: Path, frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[int] = []

    def until(last: int) -> Callable[[str, int, float], None]:
        def on_epoch(name: str, finished: int, loss: float) -> None:
            told.append(finished)
            if finished == last:
                raise KeyboardInterrupt

        return on_epoch

    with stage(teacher, frozen, tmp_path / "killed", []) as killed:
        with pytest.raises(KeyboardInterrupt):
            trained_once(replace(killed, on_epoch=until(2)))
        found = trained_once(replace(killed, on_epoch=until(0)))
    with stage(teacher, frozen, tmp_path / "whole", []) as whole:
        expected = trained_once(whole)
    assert told == [1, 2, 3]
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert capsys.readouterr().err == "", "its own checkpoint is no other stage's"


def test_a_teachers_file_is_named_by_stage_teacher_and_epochs(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    with stage(teacher, frozen, tmp_path / "own", []) as trained:
        (tmp_path / "shared").mkdir()
        trained_once(replace(trained, shared=tmp_path / "shared", recipe=Recipe(paraphraser_epochs=1)))
    [kept] = (tmp_path / "shared").glob("*.pth")
    assert kept.stem.split(SHARED) == ["tiny", "0" * 12, "1"]


def test_a_teachers_folder_that_takes_no_file_costs_only_the_sharing(
    teacher: Path, frozen: Frozen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = TeachersStage._save

    def refused(self: TeachersStage, name: str, path: Path, weights: Mapping[str, Tensor]) -> None:
        if path.parent != self.fence.directory:
            raise StoreError("The disk is full.", remedy="Free some.")
        save(self, name, path, weights)

    monkeypatch.setattr(TeachersStage, "_save", refused)
    with stage(teacher, frozen, tmp_path / "own", []) as trained:
        elsewhere = replace(trained, shared=tmp_path / "shared")
        assert trained_once(elsewhere).keys() == {"weight", "bias"}
        assert elsewhere.once("numbers", lambda: {"kl": 2.0}) == {"kl": 2.0}
    assert (tmp_path / "own/tiny.pth").exists()
    assert not (tmp_path / "shared").exists()


def test_numbers_of_a_teacher_are_made_once_and_kept_under_their_name(
    teacher: Path, frozen: Frozen, tmp_path: Path
) -> None:
    with stage(teacher, frozen, tmp_path, []) as of:
        assert of.once("numbers", lambda: {"kl": 2.0}) == {"kl": 2.0}
        assert of.once("numbers", lambda: {"kl": 3.0}) == {"kl": 2.0}
        assert of.once("others", lambda: {"kl": 3.0}) == {"kl": 3.0}
        [kept] = tmp_path.glob("numbers*.pth")
        assert read_torch(kept, CPU)["made_from"]["stage"] == "numbers"
        alone = replace(of, shared=None)
        assert alone.once("alone", lambda: {"kl": 4.0}) == {"kl": 4.0}
    assert not list(tmp_path.glob("alone*")), "an untrained teacher has no folder"
