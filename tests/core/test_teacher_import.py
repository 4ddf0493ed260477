"""Teachers from elsewhere: their weights under our names, a record that says so, students that learn from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kd_core.artifacts.foreign import read_foreign
from kd_core.networks import build
from kd_hpc.errors import UsageError
from kd_hpc.triage.checks import Severity, check_run
from kd_hpc.triage.run_directory import read_tree
from tests.core.processes import run
from tests.core.runs import directory, place, status


def as_elsewhere(weights: Mapping[str, Tensor], *, wide: bool) -> dict[str, Tensor]:
    """Under the names of the code that trained it."""
    found = {}
    for name, value in weights.items():
        name = re.sub(r"^linear\.", "fc.", name)
        if wide:
            name = re.sub(r"^layer([123])\.", r"block\1.layer.", name).replace(".shortcut.", ".convShortcut.")
        found[name.replace(".shortcut.", ".downsample.")] = value
    return found


def write(path: Path, weights: Mapping[str, Tensor], *, wide: bool = False) -> Path:
    torch.save({"epoch": 240, "model": as_elsewhere(weights, wide=wide), "best_acc": np.float64(74.3)}, path)
    return path


@pytest.mark.parametrize("name", ["ResNet20", "ResNet8x4", "WRN-16-2"])
def test_every_weight_finds_its_place(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = build(name, 100)
    path = write(tmp_path / "ckpt.pth", network.state_dict(), wide=name.startswith("WRN"))
    found = read_foreign(path, name, 100)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.network.training
    for key, value in network.state_dict().items():
        assert torch.equal(found.network.state_dict()[key], value), key


@pytest.mark.parametrize(("key", "prefix"), [("weights", ""), ("state_dict", "module."), ("", "")])
def test_our_own_names_and_those_of_several_gpus_are_read_too(key: str, prefix: str, tmp_path: Path) -> None:
    weights = {prefix + name: value for name, value in build("ResNetBaby", 10).state_dict().items()}
    torch.save({key: weights} if key else weights, tmp_path / "a.pth")
    assert read_foreign(tmp_path / "a.pth", "ResNetBaby", 10)


REFUSED = {
    "deeper": ("ResNet20", 10, "it has layer1.1.conv1.weight, "),
    "shallower": ("ResNetBaby", 10, "it lacks layer1.1.conv1.weight, "),
    "other classes": ("ResNet20", 100, r"linear.weight is (100, 64) instead of (10, 64)"),
    "wider": ("ResNet8x4", 10, "conv1.weight is (32, 3, 3, 3) instead of (16, 3, 3, 3)"),
}


@pytest.mark.parametrize(("name", "classes", "told"), REFUSED.values(), ids=REFUSED)
def test_a_network_of_another_shape_is_refused_in_one_sentence(
    name: str, classes: int, told: str, tmp_path: Path
) -> None:
    wanted = "ResNetBaby" if name != "ResNetBaby" else "ResNet20"
    if name == "ResNet20" and classes == 100:
        wanted = "ResNet20"
    path = write(tmp_path / "ckpt.pth", build(name, classes).state_dict())
    with pytest.raises(UsageError, match=re.escape(told)) as refused:
        read_foreign(path, wanted, 10)
    assert f"does not hold the weights of a {wanted} of 10 classes: " in refused.value.what
    assert "--as" in refused.value.remedy


class _Command:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('run')",)


def test_what_is_no_file_of_weights_is_refused_and_nothing_in_it_run(tmp_path: Path) -> None:
    torch.save({"model": _Command()}, tmp_path / "harmful.pth")
    torch.save({"model": {"conv1.weight": [1, 2]}}, tmp_path / "lists.pth")
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    for name, told in (
        ("harmful", "is no file of weights"),
        ("lists", "holds no weights by name"),
        ("page", "is no file of weights"),
        ("none", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=told):
            read_foreign(tmp_path / f"{name}.pth", "ResNetBaby", 10)


def test_an_imported_teacher_teaches_and_says_where_it_came_from(teacher: Path, tmp_path: Path) -> None:
    root, log = place(teacher, tmp_path / "root"), tmp_path / "log"
    weights = torch.load(directory(teacher, "pure") / "best.pth", weights_only=True)["weights"]
    file = write(tmp_path / "ckpt_epoch_240.pth", weights)
    folders = ["--experiments", str(root / "experiments"), "--data", str(root / "data"), "--device", "cpu"]
    words = ["teacher", "import", str(file), "--as", "ResNetBaby", "--dataset", "Digits", *folders]
    code, said = run([*words, "--seed", "5"], log)
    assert code == 0, said
    record, original = status(root, "pure", 5), status(teacher, "pure")
    assert (record["state"], record["epoch"]) == ("completed", 0)
    assert record["acc_last"] == record["acc_best"] == pytest.approx(original["acc_best"], abs=0.3)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["provenance"]["imported"] == {"file": "ckpt_epoch_240.pth", "sha256": sha256}
    kept = directory(root, "pure", 5)
    assert record["files"].keys() == {
        path.name for path in kept.iterdir() if path.suffix in (".pth", ".npz", ".json")
    } - {"status.json"}
    found = next(item for item in read_tree(root / "experiments")[0] if item.identity.seed == 5)
    findings = check_run(found)
    assert all(finding.severity == Severity.NOTE for finding in findings), findings
    assert "imported from ckpt_epoch_240.pth" in next(f.evidence for f in findings if f.code == "imported")
    pair = ["--method", "logit", "--alpha", "0.5", "--teacher", "ResNetBaby", "--student", "ResNetBaby"]
    identity = ["--dataset", "Digits", "--seed", "5", "--epochs", "1", "--batch-size", "256"]
    code, said = run(["train", *pair, *identity, *folders], log)
    assert code == 0, said
    assert status(root, "logit", 5)["teacher_sha256"] == hashlib.sha256((kept / "best.pth").read_bytes()).hexdigest()
    before = (kept / "status.json").read_bytes()
    code, said = run([*words, "--seed", "5"], log)
    assert (code, "is there already: completed" in said) == (2, True)
    assert (kept / "status.json").read_bytes() == before
    torch.manual_seed(0)
    write(file, build("ResNetBaby", 10).state_dict())
    code, said = run([*words, "--seed", "6"], log)
    assert (code, "no more than guessing" in said) == (2, True)
    assert not (root / "experiments/Digits/pure/ResNetBaby/6").exists()
