"""Where a fork begins: with its parent's own checkpoint of that epoch on that data, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.artifacts.beginning import beginning_of
from kd_core.artifacts.foreign import read_foreign
from kd_core.artifacts.torchfile import to_bytes
from kd_hpc.campaign_file.forks import forked
from kd_hpc.errors import UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.records import FileDigest
from kd_hpc.store import CHECKPOINT, Store, kept_checkpoint

CPU = torch.device("cpu")
PAIR = {"teacher": "ResNetBaby", "student": "ResNetBaby"}
PARENT = Experiment(dataset="Digits", method="logit", alpha=0.5, seed=0, **PAIR)
FORK = forked(PARENT, 2, alpha=0.0)
STATE: dict[str, Any] = {"identity": {"experiment": PARENT.label, "data_sha256": "d"}, "epoch": 2, "w": torch.ones(2)}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The checkpoint that the parent kept."""
    store = Store(tmp_path)
    for run in (PARENT, FORK):
        store.directory(run).mkdir(parents=True)
    path = store.directory(PARENT) / kept_checkpoint(2)
    path.write_bytes(to_bytes(STATE))
    return path


def test_a_fork_begins_with_its_parents_checkpoint_and_says_which(kept: Path, tmp_path: Path) -> None:
    found = beginning_of(Store(tmp_path), FORK, "d", CPU)
    assert found
    assert torch.equal(found.state["w"], STATE["w"])
    sha256 = FileDigest.of(kept.read_bytes()).sha256
    assert found.provenance == {"run": PARENT.label, "epoch": 2, "sha256": sha256}


def test_who_is_no_fork_or_has_begun_already_has_no_beginning(kept: Path, tmp_path: Path) -> None:
    assert beginning_of(Store(tmp_path), PARENT, "d", CPU) is None
    (Store(tmp_path).directory(FORK) / CHECKPOINT).touch()
    assert beginning_of(Store(tmp_path), FORK, "d", CPU) is None


OTHERS: dict[str, tuple[bytes | None, str]] = {
    "gone": (None, "is gone"),
    "damaged": (b"garbage", "it is damaged"),
    "of another epoch": (to_bytes({**STATE, "epoch": 3}), f"is of {PARENT.label}, epoch 3"),
    "of another run": (to_bytes({**STATE, "identity": {**STATE["identity"], "experiment": "x"}}), "is of x, epoch 2"),
    "of other data": (to_bytes({**STATE, "identity": {**STATE["identity"], "data_sha256": "e"}}), "is of "),
    "of something else": (to_bytes({"epoch": 2}), "'identity'"),
    "of a program": (to_bytes(Path("x")), "it cannot be read: Weights only load failed"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_fork_begins_with_anything_else(name: str, kept: Path, tmp_path: Path) -> None:
    content, reason = OTHERS[name]
    kept.unlink() if content is None else kept.write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot begin: .*checkpoint.*\.pth") as refused:
        beginning_of(Store(tmp_path), FORK, "d", CPU)
    assert reason in refused.value.what
    assert refused.value.remedy == f"Put it back from a copy, or train {PARENT.label} with --checkpoint-epoch 2."


# Weights of other programs


class Mischief:
    """What its pickle would run leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_of_weights_is_run(tmp_path: Path) -> None:
    torch.save({"weights": {"a": torch.ones(1)}, "more": Mischief(tmp_path / "done")}, tmp_path / "theirs.pth")
    with pytest.raises(UsageError, match="is no file of weights"):
        read_foreign(tmp_path / "theirs.pth", "ResNetBaby", 10)
    assert not (tmp_path / "done").exists()


def test_a_file_without_weights_by_name_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": {"a": 1.0}}, tmp_path / "theirs.pth")
    with pytest.raises(UsageError, match="holds no weights by name") as refused:
        read_foreign(tmp_path / "theirs.pth", "ResNetBaby", 10)
    assert "state_dict" in refused.value.remedy
