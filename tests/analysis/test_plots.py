"""`kd-analysis plots`: every run drawn once, only changed ones again, and a reason for each that was not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kd_analysis.plots import MEMORY, update_plots
from tests.analysis.trees import TreeSpec, build_tree
from tests.ctrl_c import press_ctrl_c

SPEC = TreeSpec(methods=("logit",), alphas=(0.5,), seeds=(0,), items=0)
RUN = "Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return build_tree(tmp_path / "experiments", SPEC)


def drawn(root: Path, output: Path) -> dict[str, bool]:
    return {outcome.run: outcome.drawn for outcome in update_plots(root, output, 1)}


def test_every_run_and_both_overviews_are_drawn(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "plots"
    assert set(drawn(tree, output).values()) == {True}
    for name in (RUN, "Digits/pure/ResNet20/0", "progress_grid", "accuracy_overview"):
        assert (output / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_nothing_is_drawn_again_when_nothing_changed(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "plots"
    update_plots(tree, output, 1)
    before = {file: file.stat().st_mtime_ns for file in output.rglob("*.svg")}
    outcomes = update_plots(tree, output, 1)
    assert {outcome.reason for outcome in outcomes} == {"unchanged since it was drawn"}
    assert {file: file.stat().st_mtime_ns for file in output.rglob("*.svg")} == before


def test_only_the_run_that_changed_is_drawn_again(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "plots"
    update_plots(tree, output, 1)
    path = tree / RUN / "metrics.json"
    content = json.loads(path.read_text())
    content["test_acc"].append(content["test_acc"][-1])
    path.write_text(json.dumps(content))
    found = drawn(tree, output)
    assert [run for run, was in found.items() if was] == [RUN]


def test_a_deleted_figure_or_memory_is_made_again(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "plots"
    update_plots(tree, output, 1)
    (output / f"{RUN}.svg").unlink()
    assert drawn(tree, output)[RUN]
    (output / MEMORY).write_text("{")
    assert set(drawn(tree, output).values()) == {True}


def test_a_run_that_cannot_be_drawn_says_why_each_time(beta: Path, tmp_path: Path) -> None:
    root = tmp_path / "experiments"
    shutil.copytree(beta / "SVHN", root / "SVHN")
    for _ in range(2):
        reasons = {outcome.run: outcome.reason for outcome in update_plots(root, tmp_path / "plots", 1)}
        assert "No module named 'scipy'" in reasons["SVHN/logit/ResNet112_to_ResNet56/0"]


def test_ctrl_c_ends_all_processes_without_a_traceback(synthetic: Path, tmp_path: Path) -> None:
    words = ["plots", synthetic, "-o", tmp_path / "plots", "--workers", "2"]
    program = [sys.executable, "-c", "from kd_analysis.cli import main; main()", *map(str, words)]
    started = subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        deadline = time.monotonic() + 600
        while started.poll() is None and len(children.read_text().split()) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        _, errors = press_ctrl_c(started)
    finally:
        started.kill()
        started.wait()
    assert [line for line in errors.splitlines() if line][1:] == []
    assert "the same command goes on from here" in errors
    assert started.returncode == 130
    assert all_gone(started.pid)


def all_gone(group: int) -> bool:
    """Whether every process of the group ends."""
    for _ in range(6000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
