"""kd-core bench prints what it measured, and what it measures is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kd_core.bench import Setting, Workload, compare, interleaved
from tests.core.processes import run

SMALL = Setting(teacher="ResNetBaby", student="ResNetBaby", dataset="Digits", batch_size=16, rounds=2, device="cpu")
ARGUMENTS = "bench --teacher ResNetBaby --student ResNetBaby --dataset Digits --batch-size 16 --rounds 2 --device cpu"


def test_a_table_of_every_method_of_students_together_and_of_a_checkpoint(tmp_path: Path) -> None:
    code, output = run(ARGUMENTS.split(), tmp_path / "log")
    assert code == 0, output
    for words in ("logit", "rkd", "nst", "fitnets", "attention_transfer", "factor_transfer", "6 students"):
        assert words in output
    assert "A checkpoint takes" in output


def test_json_holds_every_number_with_its_rounds(tmp_path: Path) -> None:
    code, output = run([*ARGUMENTS.split(), "--json", "--method", "rkd", "--students", "2"], tmp_path / "log")
    assert code == 0, output
    found = json.loads(output)
    assert found["setting"]["students"] == 2
    assert [(row["first"]["name"], row["second"]["name"]) for row in found["steps"]] == [
        ("rkd", "plain"),
        ("one student", "2 students"),
    ]
    assert all(row["ratio"]["n"] == 2 and row["ratio"]["median"] > 0 for row in found["steps"])
    assert found["checkpoint_percent"]["median"] > 0


def test_an_unknown_method_is_one_sentence(tmp_path: Path) -> None:
    code, output = run([*ARGUMENTS.split(), "--method", "telepathy"], tmp_path / "log")
    assert code == 2
    assert "method 'telepathy' is not known" in output
    assert "Traceback" not in output


def test_a_timed_step_is_a_step_of_training() -> None:
    work = Workload(SMALL, [("logit", 0.5), ("rkd", 0.25)], "fast")
    before = [tensor.clone() for student in work.students for tensor in student.model.parameters()]
    counted = [float(student.meter.tensors["images"]) for student in work.students]
    assert work.seconds() > 0
    after = [tensor for student in work.students for tensor in student.model.parameters()]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    images = SMALL.steps * SMALL.batch_size
    assert [float(student.meter.tensors["images"]) for student in work.students] == [
        count + images for count in counted
    ]


def test_variants_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def variant(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    times = interleaved({"a": lambda: variant("a"), "b": lambda: variant("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert times == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    found = compare({"ours": [1.0, 2.0, 10.0], "theirs": [3.0, 4.0, 50.0]}, (8, 16))
    assert found.ratio.median == 3.0
    assert (found.first.seconds.median, found.second.seconds.median) == (2.0, 4.0)
    assert [found.first.images_a_second, found.second.images_a_second] == pytest.approx([4, 4])
