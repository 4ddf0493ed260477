"""A checkpoint is used if it is whole and this run's, else the one before it, else none; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.artifacts.checkpoint import keep_checkpoint, load_checkpoint, previous, save_checkpoint
from kd_core.artifacts.torchfile import to_bytes
from kd_hpc import fence
from kd_hpc.errors import CheckpointError, StoreError
from kd_hpc.fence import Fence

CPU = torch.device("cpu")
IDENTITY = {"experiment": "Digits/pure/ResNet20/0", "data_sha256": "d" * 64, "teacher_sha256": None}


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Fence]:
    (tmp_path / "run").mkdir()
    with fence.opened(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/checkpoint.pth"


def epochs(mine: Fence, path: Path, identity: dict[str, Any] = IDENTITY) -> tuple[int | None, list[str]]:
    state, complaints = load_checkpoint(mine, path, identity, CPU)
    return (state["epoch"] if state else None), complaints


def test_the_newest_is_used_and_the_one_before_is_kept_beside_it(mine: Fence, path: Path) -> None:
    assert epochs(mine, path) == (None, [])
    for epoch in (1, 2, 3):
        save_checkpoint(mine, path, IDENTITY, {"epoch": epoch})
    assert epochs(mine, path) == (3, [])
    assert previous(path).name == "checkpoint.previous.pth"
    assert torch.load(previous(path), weights_only=True)["epoch"] == 2
    path.unlink()
    assert epochs(mine, path) == (2, []), "it is used where the newest is gone"


def test_without_the_one_before_rather_than_not_at_all(
    mine: Fence, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fence: Fence, path: Path, beside: Path) -> None:
        raise StoreError(f"{beside} could not be written.")

    save_checkpoint(mine, path, IDENTITY, {"epoch": 1})
    monkeypatch.setattr(Fence, "keep", refuse)
    save_checkpoint(mine, path, IDENTITY, {"epoch": 2})
    assert epochs(mine, path) == (2, [])


def test_tensors_come_back_with_their_bits(mine: Fence, path: Path) -> None:
    values = torch.randn(5, 3)
    save_checkpoint(mine, path, IDENTITY, {"epoch": 1, "values": values})
    state, _ = load_checkpoint(mine, path, IDENTITY, CPU)
    assert state is not None
    assert torch.equal(state["values"], values)
    assert state["identity"] == IDENTITY


@pytest.mark.parametrize("key", IDENTITY)
def test_one_of_another_run_is_moved_aside_by_what_differs(key: str, mine: Fence, path: Path) -> None:
    save_checkpoint(mine, path, {**IDENTITY, key: "another"}, {"epoch": 2})
    found, (complaint,) = epochs(mine, path)
    assert found is None
    assert f"it is of another run: {key} is 'another', not {IDENTITY[key]!r}" in complaint
    assert f"{path} was not used and moved to " in complaint
    assert not path.exists()
    (aside,) = (file for file in path.parent.glob("checkpoint.pth.quarantined.*") if file.suffix != ".reason")
    assert aside.name in complaint
    assert torch.load(aside, weights_only=True)["epoch"] == 2, "it lies there as it was"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"schema": 2, "identity": IDENTITY, "epoch": 9}, "it is no checkpoint of schema 1"),
        ([1, 2], "it is no checkpoint of schema 1"),
        ({"schema": 1, "epoch": 9}, "it does not say of which run it is"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_the_one_before_used(
    content: Any, reason: str, mine: Fence, path: Path
) -> None:
    for epoch in (1, 2):
        save_checkpoint(mine, path, IDENTITY, {"epoch": epoch})
    mine.publish(path, to_bytes(content))
    found, (complaint,) = epochs(mine, path)
    assert found == 1
    assert complaint.endswith(f": {reason}")


def test_a_torn_one_is_refused_and_the_one_before_used(mine: Fence, path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(mine, path, IDENTITY, {"epoch": epoch})
    path.write_bytes(path.read_bytes()[:-50])
    assert epochs(mine, path)[0] == 1


def test_what_cannot_be_read_now_is_left_as_it_is(mine: Fence, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(mine, path, IDENTITY, {"epoch": 1})

    def fail(*words: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("kd_core.artifacts.checkpoint.read_torch", fail)
    with pytest.raises(CheckpointError, match="cannot be read now: Permission denied"):
        epochs(mine, path)
    monkeypatch.undo()
    assert epochs(mine, path) == (1, [])


def test_a_kept_one_is_replaced_by_none(mine: Fence, path: Path) -> None:
    kept = path.with_name("checkpoint_epoch_1.pth")
    keep_checkpoint(mine, kept, IDENTITY, {"epoch": 1})
    save_checkpoint(mine, path, IDENTITY, {"epoch": 2})
    assert epochs(mine, kept) == (1, [])
    assert epochs(mine, path) == (2, [])
