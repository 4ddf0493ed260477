"""Spot audits as real processes: a sound run agrees, one with a changed bit does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_hpc.disk.sealed import seal_object
from tests.core.processes import run
from tests.core.runs import arguments, place

EPOCHS = 4
RUN = "Digits/factor_transfer/alpha_0.5/ResNetBaby_to_ResNetBaby/0"


def audit(root: Path, log: Path, *words: str, of: str = RUN, prelude: str = "") -> tuple[int, str]:
    folders = ["--experiments", str(root / "experiments"), "--data", str(root / "data"), "--device", "cpu"]
    return run(["audit", of, *folders, *words], log, prelude=prelude)


@pytest.fixture(scope="module")
def sound(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its weights found by calibration, that kept the checkpoints after epochs 1 and 2."""
    root = place(teacher, tmp_path_factory.mktemp("sound") / "root")
    kept = ("--checkpoint-epoch", "1", "--checkpoint-epoch", "2", "--calibrated", "0.5")
    code, output = run(arguments(root, "factor_transfer", epochs=EPOCHS, more=kept), root / "log")
    assert code == 0, output
    return root


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "root", symlinks=True))


@pytest.mark.parametrize(("words", "epoch"), [([], 4), (["--epoch", "2"], 2), (["--epoch", "1"], 1)])
def test_every_epoch_of_a_sound_run_agrees(words: list[str], epoch: int, sound: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (sound / "experiments").rglob("*")}
    code, output = audit(sound, tmp_path / "log", *words)
    assert (code, output.strip()) == (
        0,
        f"{RUN}: epoch {epoch} was trained again and compared bit by bit: it agrees.",
    )
    assert {path: path.stat().st_mtime_ns for path in (sound / "experiments").rglob("*")} == before


def test_a_forks_first_own_epoch_is_audited_from_its_parents_checkpoint(copy: Path, tmp_path: Path) -> None:
    folders = ["--experiments", str(copy / "experiments"), "--data", str(copy / "data"), "--device", "cpu"]
    for at, method in ((2, "rkd"), (1, "logit")):
        code, output = run(["fork", RUN, "--at", str(at), "--method", method, *folders], tmp_path / f"log {method}")
        assert code == 0, output
    rkd = f"Digits/rkd+at_2_of_factor_transfer_0.5/{RUN.split('/', 2)[2]}"
    code, output = audit(copy, tmp_path / "log", "--epoch", "3", of=rkd)
    assert (code, "it agrees" in output) == (0, True), output
    logit = f"Digits/logit+at_1_of_factor_transfer_0.5/{RUN.split('/', 2)[2]}"
    code, output = audit(copy, tmp_path / "again", "--epoch", "2", of=logit)
    assert (code, "it agrees" in output) == (0, True), output


def one_bit(tensor: torch.Tensor) -> None:
    storage = tensor.untyped_storage()
    storage[tensor.storage_offset() * tensor.element_size()] ^= 1


def in_torch_file(name: str, where: Callable[[Any], torch.Tensor]) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        content = torch.load(directory / name, weights_only=True)
        one_bit(where(content))
        torch.save(content, directory / name)

    return change


def in_json(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def rewrite(directory: Path) -> None:
        content = json.loads((directory / name).read_text())
        change(content)
        (directory / name).write_text(json.dumps(seal_object(content)))

    return rewrite


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a weight after the epoch": (
        in_torch_file("checkpoint.pth", lambda content: content["model"]["conv1.weight"]),
        "model.conv1.weight",
    ),
    "a weight before it": (
        in_torch_file("checkpoint.previous.pth", lambda content: content["model"]["conv1.weight"]),
        " more.",
    ),
    "a method's module": (
        in_torch_file("checkpoint.pth", lambda content: content["method"]["translator.0.weight"]),
        "method.translator.0.weight",
    ),
    "momentum": (
        in_torch_file("checkpoint.pth", lambda content: content["updater"]["optimizer"]["velocity"][3]),
        "updater.optimizer.velocity.3",
    ),
    "the last weights": (
        in_torch_file("last.pth", lambda content: content["weights"]["linear.bias"]),
        "last.pth: linear.bias",
    ),
    "the best weights": (
        in_torch_file("best.pth", lambda content: content["weights"]["linear.bias"]),
        "best.pth: linear.bias",
    ),
    "a curve": (
        in_json("metrics.json", lambda curves: curves["test_acc"].__setitem__(2, 99.0)),
        "metrics.json: test_acc",
    ),
    "the accuracy on record": (
        in_json("status.json", lambda record: record.update(acc_last=99.0)),
        "status.json: acc_last",
    ),
}


ALONE = ("a weight after the epoch", "a weight before it", "the last weights")


@pytest.mark.parametrize("change", ALONE)
def test_a_run_with_one_changed_bit_disagrees(change: str, copy: Path, tmp_path: Path) -> None:
    make, told = CHANGES[change]
    make(copy / "experiments" / RUN)
    code, output = audit(copy, tmp_path / "log")
    assert code == 1, output
    assert "DISAGREES in " in output
    assert told in output
    assert len(output.strip().splitlines()) == 1


def test_everything_that_is_not_the_same_is_named(copy: Path, tmp_path: Path) -> None:
    told = [named for change, (make, named) in CHANGES.items() if change != "a weight before it"]
    for change, (make, _) in CHANGES.items():
        if change != "a weight before it":
            make(copy / "experiments" / RUN)
    code, output = audit(copy, tmp_path / "log", "--json")
    found = json.loads(output)
    assert (code, found["agrees"]) == (1, False)
    assert set(told) <= set(found["differences"])
    beside = {"best.pth: conv1.weight", "last.pth: conv1.weight"}  # they say otherwise than the checkpoint now
    assert set(found["differences"]) <= {*told, *beside}


def test_another_machine_is_compared_by_its_curve(copy: Path, tmp_path: Path) -> None:
    in_json("status.json", lambda record: record["provenance"].update(gpu="Tesla V100"))(copy / "experiments" / RUN)
    in_torch_file("checkpoint.pth", lambda content: content["model"]["conv1.weight"])(copy / "experiments" / RUN)
    code, output = audit(copy, tmp_path / "log")
    assert code == 1, "its last weights say otherwise than its checkpoint"
    assert "by its curve, for this machine is another (gpu)" in output
    assert "model.conv1" not in output
    in_json("status.json", lambda record: record["provenance"].update(gpu="Tesla V100"))(copy / "experiments" / RUN)
    other = "import kd_core.training.student as s; s.learning_rate = lambda recipe, epoch: 10.0"
    code, output = audit(copy, tmp_path / "again", "--epoch", "2", prelude=other)
    assert code == 1
    assert "train_loss" in output


def test_an_audit_as_json_says_the_same(sound: Path, tmp_path: Path) -> None:
    code, output = audit(sound, tmp_path / "log", "--json")
    found = json.loads(output)
    assert code == 0
    assert (found["agrees"], found["epoch"], found["differences"]) == (True, EPOCHS, [])
    assert found["schema_version"] >= 1


@pytest.mark.parametrize(
    ("words", "of", "told"),
    [
        (
            ["--epoch", "3"],
            RUN,
            "cannot be audited at epoch 3: that takes the checkpoints",
        ),
        ([], "Digits/pure/ResNet20/7", "has trained no epoch"),
        ([], "Digits", "is no run"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(
    words: list[str], of: str, told: str, copy: Path, tmp_path: Path
) -> None:
    (copy / "experiments" / RUN / "checkpoint.previous.pth").unlink()
    code, output = audit(copy, tmp_path / "log", *words, of=of)
    assert code == 2
    assert told in output
    assert len(output.strip().splitlines()) == 1


def test_a_torn_checkpoint_is_said_and_stays_where_it_is(copy: Path, tmp_path: Path) -> None:
    path = copy / "experiments" / RUN / "checkpoint.previous.pth"
    path.write_bytes(path.read_bytes()[:5000])
    code, output = audit(copy, tmp_path / "log")
    assert code == 1
    assert "checkpoint.previous.pth cannot be used" in output
    assert path.exists()
