"""Forks as real processes: what they share with their parent, what they do not, and where they cannot begin."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.core.processes import run
from tests.core.runs import arguments, place
from tests.core.training.test_control_arms import FILES, IN_MID_EPOCH

AT, EPOCHS = 2, 4
PAIR = "ResNetBaby_to_ResNetBaby/0"
PARENT = f"Digits/logit/alpha_0.5/{PAIR}"
RANDOM = "logit+random_teacher+at_2_of_logit_0.5"
FORKS = {
    "unchanged": ([], f"Digits/logit+at_2_of_logit_0.5/alpha_0.5/{PAIR}"),
    "another alpha": (["--alpha", "0"], f"Digits/logit+at_2_of_logit_0.5/alpha_0/{PAIR}"),
    "another method": (["--method", "factor_transfer"], f"Digits/factor_transfer+at_2_of_logit_0.5/alpha_0.5/{PAIR}"),
    "a control arm": (["--control", "random_teacher"], f"Digits/{RANDOM}/alpha_0.5/{PAIR}"),
}  # fmt: skip


def fork(root: Path, *words: str) -> list[str]:
    folders = ["--experiments", str(root / "experiments"), "--data", str(root / "data"), "--device", "cpu"]
    return ["fork", PARENT, "--at", str(AT), *words, *folders]


def metrics(root: Path, run_path: str) -> dict[str, Any]:
    curves = dict(json.loads((root / "experiments" / run_path / "metrics.json").read_text()))
    del curves["checksum"]
    return curves


def status(root: Path, run_path: str) -> dict[str, Any]:
    return dict(json.loads((root / "experiments" / run_path / "status.json").read_text()))


def results(root: Path, run_path: str) -> dict[str, Any]:
    curves = metrics(root, run_path)
    del curves["seconds"], curves["students"]
    return {"curves": curves, **{name: (root / "experiments" / run_path / name).read_bytes() for name in FILES}}


@pytest.fixture(scope="module")
def parent(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that kept the checkpoint to fork from."""
    root = place(teacher, tmp_path_factory.mktemp("parent") / "root")
    kept = ("--checkpoint-epoch", str(AT))
    code, output = run(arguments(root, "logit", epochs=EPOCHS, more=kept), root / "log")
    assert code == 0, output
    return root


@pytest.fixture(scope="module")
def forks(parent: Path) -> Path:
    """All FORKS, each trained alone in one go; the parent's folder."""
    before = {path: path.read_bytes() for path in (parent / "experiments" / PARENT).iterdir() if path.is_file()}
    for name, (words, _) in FORKS.items():
        code, output = run(fork(parent, *words), parent / f"log {name}")
        assert code == 0, output
    assert {path: path.read_bytes() for path in before} == before
    return parent


def test_a_fork_with_nothing_changed_ends_bit_identical_to_its_parent(forks: Path) -> None:
    assert results(forks, FORKS["unchanged"][1]) == results(forks, PARENT)


@pytest.mark.parametrize("name", [name for name in FORKS if name != "unchanged"])
def test_a_fork_shares_every_bit_up_to_its_epoch_and_none_after(name: str, forks: Path) -> None:
    own, parents = metrics(forks, FORKS[name][1]), metrics(forks, PARENT)
    plain = [key for key in parents if key not in ("terms", "gradient_norms")]
    assert {key: own[key][:AT] for key in plain} == {key: parents[key][:AT] for key in plain}
    for group in ("terms", "gradient_norms"):
        assert {term: own[group][term][:AT] for term in parents[group]} == {
            term: values[:AT] for term, values in parents[group].items()
        }
    assert own["gradient_norms"]["ce"][AT] == parents["gradient_norms"]["ce"][AT], "the same weights, the same batch"
    assert own["train_loss"][AT] != parents["train_loss"][AT]
    assert len(own["train_loss"]) == EPOCHS
    assert results(forks, FORKS[name][1])["last.pth"] != results(forks, PARENT)["last.pth"]


def test_terms_that_a_fork_has_not_all_the_time_have_gaps_elsewhere(forks: Path) -> None:
    terms = metrics(forks, FORKS["another method"][1])["terms"]
    assert [value is None for value in terms["kl"]] == [False, False, True, True]
    assert [value is None for value in terms["factor"]] == [True, True, False, False]


def test_the_record_says_where_a_fork_began(forks: Path) -> None:
    kept = (forks / "experiments" / PARENT / f"checkpoint_epoch_{AT}.pth").read_bytes()
    for _, path in FORKS.values():
        record = status(forks, path)
        beginning = {"run": PARENT, "epoch": AT, "sha256": hashlib.sha256(kept).hexdigest()}
        assert record["provenance"]["parent"] == beginning
        assert (record["state"], record["epoch"], record["recipe"]["epochs"]) == ("completed", EPOCHS, EPOCHS)
        (attempt,) = record["attempts"]
        assert (attempt["start_epoch"], attempt["end_epoch"] - record["warmup_epochs"]) == (AT, EPOCHS)


@pytest.mark.parametrize("name", ["another method"])
def test_killed_in_its_middle_a_fork_ends_bit_identical(name: str, forks: Path, tmp_path: Path) -> None:
    root = place(forks, tmp_path / "root")
    kept = Path("experiments") / PARENT
    (root / kept).mkdir(parents=True)
    for file in ("status.json", f"checkpoint_epoch_{AT}.pth"):
        (root / kept / file).write_bytes((forks / kept / file).read_bytes())
    words, path = FORKS[name]
    assert run(fork(root, *words), root / "log", prelude=IN_MID_EPOCH)[0] == -signal.SIGKILL
    code, output = run(fork(root, *words), root / "again")
    assert code == 0, output
    assert len(status(root, path)["attempts"]) == 2
    assert results(root, path) == results(forks, path)


def test_forks_side_by_side_are_what_each_is_alone(forks: Path, tmp_path: Path) -> None:
    root = place(forks, tmp_path / "root")
    kept = Path("experiments") / PARENT / f"checkpoint_epoch_{AT}.pth"
    (root / kept).parent.mkdir(parents=True)
    (root / kept).write_bytes((forks / kept).read_bytes())
    fork_of = f"at_{AT}_of_logit_0.5"
    beside = ("--variant", fork_of, "--beside", f"factor_transfer+{fork_of}:0.5", "--beside", f"logit+{fork_of}:0")
    code, output = run(arguments(root, "logit", epochs=EPOCHS, more=beside), root / "log")
    assert code == 0, output
    for name in ("unchanged", "another alpha", "another method"):
        assert results(root, FORKS[name][1]) == results(forks, FORKS[name][1])


def gone(root: Path) -> Path:
    """A folder as after a parent that kept no checkpoint."""
    path = root / "experiments" / PARENT
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("kept", "by_hand"), [("gone", True), ("gone", False), ("torn", True), ("of another run", True)]
)
def test_without_its_parents_checkpoint_a_fork_writes_nothing(
    kept: str, by_hand: bool, forks: Path, tmp_path: Path
) -> None:
    root = place(forks, tmp_path / "root")
    path = gone(root)
    (path / "status.json").write_bytes((forks / "experiments" / PARENT / "status.json").read_bytes())
    content = (forks / "experiments" / FORKS["unchanged"][1] / "checkpoint.pth").read_bytes()
    if kept != "gone":
        (path / f"checkpoint_epoch_{AT}.pth").write_bytes(content[:1000] if kept == "torn" else content)
    before = sorted(root.rglob("*"))
    words = ("--variant", f"at_{AT}_of_logit_0.5")
    code, output = run(fork(root) if by_hand else arguments(root, "logit", epochs=EPOCHS, more=words), tmp_path / "log")
    assert code == 2, output
    assert "cannot begin: " in output
    assert f"checkpoint_epoch_{AT}.pth" in output
    assert len(output.strip().splitlines()) == 1
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "4"], "has nothing left to train"),
        (["--control", "temperature_2"], "is no control arm"),
        (["--control", "hard"], "hard has no method"),
        (["--method", "rkd", "--control", "shuffled"], "shuffled makes no sense for rkd"),
        (["--method", "pure"], "has neither teacher nor alpha"),
    ],
)
def test_a_fork_that_cannot_be_meant_is_one_sentence(words: list[str], said: str, parent: Path, tmp_path: Path) -> None:
    code, output = run([*fork(parent), *words], tmp_path / "log")
    assert code == 2
    assert said in output
    assert len(output.strip().splitlines()) == 1


def test_a_fork_of_a_fork_is_refused(forks: Path, tmp_path: Path) -> None:
    words = fork(forks)
    words[1] = FORKS["another alpha"][1]
    code, output = run(words, tmp_path / "log")
    assert code == 2
    assert "Fork the first parent at the later epoch" in output
