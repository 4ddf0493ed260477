"""Control arms as real processes: each is what it says, is resumed to the bit, and trains beside others unchanged."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_hpc.recipe import Recipe
from tests.core.processes import run
from tests.core.runs import arguments, place

IN_MID_EPOCH = """
import os, signal
from kd_core.training.student import Student
real, steps = Student.step, []
def step(self, batch, teacher):
    steps.append(self)
    if len(steps) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, batch, teacher)
Student.step = step
"""
"""An epoch has six steps."""
FILES = ["best.pth", "last.pth", "representations.npz"]
HARD, OTHER = ("pure", "hard"), ("logit", "other_teacher_1")
ARMS = [HARD, ("logit", "random_teacher"), ("factor_transfer", "random_teacher"), OTHER, ("logit", "shuffled")]


@pytest.fixture(scope="module")
def teachers(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished teachers of seeds 0 and 1, and the data."""
    root = place(teacher, tmp_path_factory.mktemp("teachers") / "root")
    code, output = run(arguments(root, "pure", epochs=2, seed=1), root / "log")
    assert code == 0, output
    return root


def fresh(teachers: Path, root: Path) -> Path:
    for seed in (0, 1):
        for name in ("best.pth", "status.json"):
            place_of = Path(f"experiments/Digits/pure/ResNetBaby/{seed}/{name}")
            (root / place_of).parent.mkdir(parents=True, exist_ok=True)
            (root / place_of).write_bytes((teachers / place_of).read_bytes())
    (root / "data").symlink_to((teachers / "data").resolve())
    return root


def command(root: Path, method: str, variant: str, *more: str) -> list[str]:
    return arguments(root, method, more=("--variant", variant, *more))


def directory(root: Path, arm: str) -> Path:
    (found,) = root.glob(f"experiments/Digits/{arm}/**/0")
    return found


def status(root: Path, arm: str) -> dict[str, Any]:
    return dict(json.loads((directory(root, arm) / "status.json").read_text()))


def results(root: Path, arm: str) -> dict[str, Any]:
    metrics = json.loads((directory(root, arm) / "metrics.json").read_text())
    del metrics["seconds"], metrics["students"], metrics["checksum"]
    record = status(root, arm)
    kept = {key: record.get(key) for key in ("state", "epoch", "recipe", "recipe_sha256", "teacher_sha256")}
    return {"metrics": metrics, **kept, **{name: (directory(root, arm) / name).read_bytes() for name in FILES}}


@pytest.fixture(scope="module")
def whole(teachers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every arm, and the ordinary runs beside them, each trained alone and in one go."""
    root = fresh(teachers, tmp_path_factory.mktemp("whole"))
    for method, variant in (*ARMS, ("logit", "")):
        code, output = run(command(root, method, variant), root / f"log-{method}-{variant}")
        assert code == 0, output
    return root


@pytest.mark.parametrize(("method", "variant"), ARMS)
def test_killed_in_its_middle_an_arm_ends_bit_identical(
    method: str, variant: str, whole: Path, teachers: Path, tmp_path: Path
) -> None:
    root = fresh(teachers, tmp_path)
    assert run(command(root, method, variant), root / "log", prelude=IN_MID_EPOCH)[0] == -signal.SIGKILL
    code, output = run(command(root, method, variant), root / "again")
    assert code == 0, output
    arm = f"{method}+{variant}"
    assert len(status(root, arm)["attempts"]) == 2
    assert results(root, arm) == results(whole, arm)


def test_students_side_by_side_are_what_each_is_alone(whole: Path, teachers: Path, tmp_path: Path) -> None:
    root = fresh(teachers, tmp_path)
    code, output = run(arguments(root, "logit", more=("--beside", "logit+shuffled:0.5")), root / "log")
    assert code == 0, output
    for arm in ("logit", "logit+shuffled"):
        assert results(root, arm) == results(whole, arm)


def test_the_hard_arm_is_cross_entropy_without_smoothing(whole: Path) -> None:
    record = status(whole, "pure+hard")
    assert record["recipe"]["label_smoothing"] == 0.0
    own = Recipe(epochs=3, batch_size=64, label_smoothing=0.0)
    assert record["recipe_sha256"] == own.identity("pure") != Recipe(epochs=3, batch_size=64).identity("pure")
    assert status(whole, "pure")["recipe"]["label_smoothing"] == 0.1


def test_each_arm_learns_from_the_teacher_it_names(whole: Path) -> None:
    def sha256(seed: int) -> str:
        best = whole / f"experiments/Digits/pure/ResNetBaby/{seed}/best.pth"
        return hashlib.sha256(best.read_bytes()).hexdigest()

    assert status(whole, "logit")["teacher_sha256"] == status(whole, "logit+shuffled")["teacher_sha256"] == sha256(0)
    assert status(whole, "logit+other_teacher_1")["teacher_sha256"] == sha256(1)
    random = [status(whole, f"{method}+random_teacher")["teacher_sha256"] for method in ("logit", "factor_transfer")]
    assert random[0] == random[1]
    assert random[0] not in (sha256(0), sha256(1))
    assert status(whole, "logit+random_teacher")["provenance"]["teacher"]["path"].startswith("the untrained ResNetBaby")


def test_all_arms_begin_alike_and_end_apart(whole: Path) -> None:
    arms = ["logit", *(f"{method}+{variant}" for method, variant in ARMS)]
    ends = {(directory(whole, arm) / "last.pth").read_bytes() for arm in arms}
    assert len(ends) == len(arms)
    first = {
        json.loads((directory(whole, arm) / "metrics.json").read_text())["gradient_norms"]["ce"][0] for arm in arms
    }
    assert len(first) == 1, "the same student on the same first batch"


def test_the_first_stage_on_an_untrained_teacher_stays_with_its_run(whole: Path) -> None:
    assert (directory(whole, "factor_transfer+random_teacher") / "paraphraser.pth").exists()
    assert not list(whole.glob("experiments/Digits/pure*/**/paraphraser*"))


@pytest.mark.parametrize(
    ("method", "variant", "said"),
    [
        ("rkd", "shuffled", "shuffled makes no sense for rkd"),
        ("logit", "hard", "hard has no method"),
        ("pure", "random_teacher", "has no teacher to control for"),
        ("logit", "other_teacher_0", "is this run's own"),
        ("logit", "shuffle", "neither a control arm nor a setting nor a fork"),
        ("logit", "temprature_2", "Did you mean temperature"),
    ],
)
def test_an_arm_that_makes_no_sense_is_one_sentence_and_exit_2(
    method: str, variant: str, said: str, tmp_path: Path
) -> None:
    code, output = run(arguments(tmp_path, method, more=("--control", variant)), tmp_path / "log")
    assert code == 2
    assert said in output
    assert len(output.strip().splitlines()) <= 2
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "log"] == []


def test_students_of_another_teacher_are_not_trained_beside(tmp_path: Path) -> None:
    beside = ("--beside", "logit+random_teacher:0.5")
    code, output = run(arguments(tmp_path, "logit", more=beside), tmp_path / "log")
    assert code == 2
    assert "another teacher or another recipe" in output


def test_the_other_teacher_passes_the_same_gate_as_ones_own(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "root")
    code, output = run(command(root, *OTHER), root / "log")
    assert code == 1
    assert "The teacher Digits/pure/ResNetBaby/1 is not_started, not completed." in output
    assert "--model ResNetBaby --seed 1" in output
    assert not list(root.glob("experiments/Digits/logit*"))


def test_another_untrained_teacher_than_the_recorded_one_is_refused(teachers: Path, tmp_path: Path) -> None:
    root = fresh(teachers, tmp_path)
    begun = command(root, "logit", "random_teacher")
    assert run(begun, root / "log", prelude=IN_MID_EPOCH)[0] == -signal.SIGKILL
    other = "import kd_core.teacher.untrained as u; u._BITS = 5"
    code, output = run(begun, root / "again", prelude=other)
    assert code == 1
    assert "the untrained ResNetBaby of seed 0 is not the teacher this run was started with" in output


def test_a_setting_of_its_own_is_in_the_recipe_and_the_path(teachers: Path, tmp_path: Path) -> None:
    root = fresh(teachers, tmp_path)
    code, output = run(command(root, "logit", "temperature_2"), root / "log")
    assert code == 0, output
    assert status(root, "logit+temperature_2")["recipe"]["temperature"] == 2.0
    weights = torch.load(directory(root, "logit+temperature_2") / "last.pth", weights_only=True)
    assert set(weights) >= {"weights"}
