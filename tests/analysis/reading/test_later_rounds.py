"""A tree as a later round leaves it: alpha levels, frozen runs, records of a job id alone, both layouts, broken links,
locked folders, names nobody expects. Everything is named, nothing is dropped, no command ends in a traceback."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kd_analysis.plots import update_plots
from kd_analysis.reading.runs_table import Tree, collect
from kd_hpc.triage.find_runs import Stray, find_runs
from kd_hpc.triage.verdict import Triaged, Verdict

PAIR = "ResNet112_to_ResNet56"
ALPHAS = ("0.25", "0.5", "0.75")
KILLED = "slurmstepd: error: *** JOB 991 ON gpu2003 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***"


@pytest.fixture
def later(beta: Path, tmp_path: Path) -> Path:
    """Round beta's files as the next round would hold them."""
    root = tmp_path / "experiments"
    for seed in "012":
        shutil.copytree(beta / f"Cifar100/pure/ResNet112/{seed}", root / f"Cifar100/pure/ResNet112/{seed}")
        shutil.copytree(beta / f"Cifar100/pure/ResNet56/{seed}", root / f"Cifar100/pure/ResNet56/{seed}")
        _copy(beta, f"Cifar100/logit/{PAIR}/{seed}", root / f"Cifar100/logit/alpha_0.5/{PAIR}/{seed}", 0.5)
    for alpha in ALPHAS:
        run = root / f"Cifar100/rkd/alpha_{alpha}/{PAIR}/0"
        _copy(beta, f"Cifar100/rkd/{PAIR}/0", run, float(alpha))
        _edit(run / "metrics.json", test_acc=[1.25] * 150)
        _edit(run / "status.json", max_acc=1.25)
    only_id = root / f"Cifar10/nst/alpha_0.5/{PAIR}/0"
    only_id.mkdir(parents=True)
    (only_id / "status.json").write_text(json.dumps({"pbs_job_id": "7002781.sched01"}))
    checkpoint = root / f"Cifar10/nst/alpha_0.75/{PAIR}/0"
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.pth").write_bytes(b"PK")
    return root


def _copy(beta: Path, source: str, target: Path, alpha: float) -> None:
    shutil.copytree(beta / source, target)
    for name in ("status.json", "metrics.json"):
        content = json.loads((target / name).read_text())
        _edit(target / name, config={**content["config"], "alpha": alpha})


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def of(tree: Tree, path: str) -> Triaged:
    (item,) = (item for item in tree.runs if item.run.path == path)
    return item


def codes(item: Triaged) -> set[str]:
    return {finding.code for finding in item.findings}


def test_alpha_levels_and_old_records_are_read_without_an_option(later: Path) -> None:
    tree = collect(later)
    cell = of(tree, f"Cifar100/logit/alpha_0.5/{PAIR}/1")
    assert (cell.verdict, cell.run.identity.alpha, cell.run.acc_best) == (Verdict.OK, 0.5, 72.96)
    assert len(tree.usable) == 9


def test_students_that_never_moved_are_named_together(later: Path) -> None:
    tree = collect(later)
    for alpha in ALPHAS:
        item = of(tree, f"Cifar100/rkd/alpha_{alpha}/{PAIR}/0")
        assert {"chance_level", "flat_loss", "same_trajectory", "early_best"} <= codes(item)
        assert "all 150 test accuracies equal those of" in item.evidence
        assert "1.25 %" in item.evidence


def test_a_job_id_alone_and_a_checkpoint_alone_are_unfinished_not_lost(later: Path) -> None:
    tree = collect(later)
    only_id = of(tree, f"Cifar10/nst/alpha_0.5/{PAIR}/0")
    assert only_id.verdict == Verdict.UNFINISHED
    assert "7002781.sched01" in only_id.evidence
    assert of(tree, f"Cifar10/nst/alpha_0.75/{PAIR}/0").verdict == Verdict.UNFINISHED


def test_one_run_in_both_layouts_is_trusted_in_neither(later: Path, beta: Path) -> None:
    shutil.copytree(beta / f"Cifar100/logit/{PAIR}/2", later / f"Cifar100/logit/{PAIR}/2")
    tree = collect(later)
    for path in (f"Cifar100/logit/{PAIR}/2", f"Cifar100/logit/alpha_0.5/{PAIR}/2"):
        assert "duplicate" in codes(of(tree, path))


@pytest.mark.parametrize("level", ["alpha_nan", "alpha_inf", "alpha_x"])
def test_an_alpha_level_that_is_no_number_leaves_it_to_the_record(later: Path, beta: Path, level: str) -> None:
    _copy(beta, f"Cifar100/logit/{PAIR}/2", later / f"Cifar100/fitnets/{level}/{PAIR}/2", 0.25)
    assert of(collect(later), f"Cifar100/fitnets/{level}/{PAIR}/2").run.identity.alpha == 0.25


def test_a_scheduler_that_cancelled_the_job_is_quoted(later: Path, beta: Path) -> None:
    run = later / "TinyImageNet/pure/ResNet112/0"
    shutil.copytree(beta / "TinyImageNet/pure/ResNet112/0", run)
    (run / "errors").write_text(f"a warning\n{KILLED}\n")
    item = of(collect(later), "TinyImageNet/pure/ResNet112/0")
    assert "killed" in codes(item)
    assert "DUE TO TIME LIMIT" in item.evidence


def test_linked_runs_are_read_and_links_that_lead_nowhere_are_named(later: Path, beta: Path) -> None:
    (later / "Cifar10/pure/ResNet112").mkdir(parents=True)
    (later / "Cifar10/pure/ResNet112/0").symlink_to(beta / "Cifar100/pure/ResNet112/0")
    (later / "Cifar10/pure/ResNet112/1").symlink_to("/scratch/swept")
    (later / "loop").symlink_to(".")
    runs, strays = find_runs(later)
    assert "Cifar10/pure/ResNet112/0" in map(str, runs)
    assert strays == [
        Stray("Cifar10/pure/ResNet112/1", "is a link to /scratch/swept, which is not there"),
        Stray("loop", "is a link to ., which holds it"),
    ]


NAMES = {"not UTF-8": os.fsdecode(b"bad\xff"), "a line break": "two\nlines", "mathematics": "ünïcode $x_1$ & <b>"}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_nobody_expects_is_shown_and_drawn(later: Path, tmp_path: Path, kind: str) -> None:
    known = set(map(str, find_runs(later)[0]))
    run = later / "Cifar100" / NAMES[kind] / "alpha_0.5" / PAIR / "2"
    shutil.copytree(later / "Cifar100/pure/ResNet56/2", run)
    outcomes = update_plots(later, tmp_path / "plots", 1)
    (mine,) = (found for found in outcomes if found.run.endswith(f"alpha_0.5/{PAIR}/2") and found.run not in known)
    assert mine.drawn
    assert mine.run.isprintable()
    assert {outcome.drawn for outcome in update_plots(later, tmp_path / "plots", 1)} == {False}


def _stopped_by_locks() -> None:
    """Take from the superuser what lets it read locked folders; anybody else has it not."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: gone once the program is executed
            assert libc.prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def kd_analysis(*words: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from kd_analysis.cli import main; main()", *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, preexec_fn=_stopped_by_locks)


def test_locked_runs_and_folders_are_named_and_stop_nothing(later: Path, tmp_path: Path) -> None:
    locked, hidden = later / "Cifar100/pure/ResNet56/2", later / "SVHN"
    hidden.mkdir()
    for folder in (locked, hidden):
        folder.chmod(0)
    try:
        done = kd_analysis("triage", later, "--json", "--cache", tmp_path / "cache")
    finally:
        for folder in (locked, hidden):
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (run,) = (run for run in found["runs"] if run["run"] == "Cifar100/pure/ResNet56/2")
    assert "Permission denied" in str(run["findings"])
    assert found["not_runs"] == [{"path": "SVHN", "reason": "cannot be looked into: Permission denied"}]
