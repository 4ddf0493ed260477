"""What a method trains on its teacher alone: seeded, kept for all students, and set aside where it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd_core.networks import build
from kd_core.runtime.determinism import seed_of
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training.first_stage import TeachersStage
from tests.core.stages import remember, stage


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


@pytest.mark.parametrize("damage", [b"not a file of torch", b""])
def test_what_a_first_stage_left_damaged_is_set_aside_and_said(
    damage: bytes, teacher: Path, frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert f"{kept} was not used and moved to {kept.name}.quarantined.0: it " in said
    assert (tmp_path / f"{kept.name}.quarantined.0").read_bytes() == damage


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
