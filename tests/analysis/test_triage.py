"""Triage: everything wrong with a run is named with its evidence, and nothing is dropped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd_analysis.analysis import read_and_judge
from kd_analysis.reading.durations import wall_seconds
from kd_analysis.reading.run_columns import RUN_COLUMNS
from kd_analysis.reading.runs_table import Tree, collect, frame, plain_rows
from kd_analysis.representations.cache import Cache
from kd_hpc.catalogue import DATASETS
from kd_hpc.records import FileDigest
from kd_hpc.triage.find_runs import Stray
from kd_hpc.triage.verdict import Triaged, Verdict
from tests.analysis.reports import kd_analysis
from tests.analysis.trees import TreeSpec, build_tree

SMALL = TreeSpec(methods=("logit",), alphas=(0.5,), seeds=(0, 1, 2), items=60)
RUN = "Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0"
TEACHER = "Digits/pure/ResNet20/0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return build_tree(tmp_path / "experiments", SMALL)


def judged(root: Path) -> Tree:
    return read_and_judge(root, None, Cache(None), 1)[0]


def of(tree: Tree, path: str) -> Triaged:
    (item,) = (item for item in tree.runs if item.run.path == path)
    return item


def codes(item: Triaged) -> set[str]:
    return {finding.code for finding in item.findings}


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_sound_tree_has_no_findings(tree: Path) -> None:
    found = judged(tree)
    assert {item.verdict for item in found.runs} == {Verdict.OK}, [item.evidence for item in found.runs]
    assert len(found.usable) == len(found.runs) == 9


def test_round_beta_is_judged_as_it_is_known_to_be(beta: Path) -> None:
    found = collect(beta)
    rkd100 = of(found, "Cifar100/rkd/ResNet112_to_ResNet56/0")
    assert rkd100.verdict == Verdict.FLAGGED
    assert {"chance_level", "flat_loss", "early_best"} <= codes(rkd100)
    assert "1.00 %" in rkd100.evidence
    rkd10 = of(found, "Cifar10/rkd/ResNet112_to_ResNet56/0")
    assert rkd10.verdict == Verdict.FLAGGED
    assert "last accuracy 10.00 %, best 18.13 %" in rkd10.evidence
    student = of(found, "TinyImageNet/logit/ResNet112_to_ResNet56/0")
    assert "teacher_unfinished" in codes(student)
    assert of(found, "TinyImageNet/pure/ResNet112/0").verdict == Verdict.UNFINISHED
    assert "killed" in codes(of(found, "TinyImageNet/pure/ResNet112/0"))
    assert of(found, "Cifar100/logit/ResNet112_to_ResNet56/1").verdict == Verdict.OK


def test_svhn_runs_of_round_beta_name_module_and_other_attempt(beta: Path) -> None:
    found = collect(beta)
    for name in ("pure/ResNet56", "pure/ResNet112", "logit/ResNet112_to_ResNet56"):
        item = of(found, f"SVHN/{name}/0")
        assert item.verdict == Verdict.FAILED
        assert "No module named 'scipy'" in item.evidence
    assert "record_of_earlier_attempt" in codes(of(found, "SVHN/pure/ResNet56/0"))
    assert of(found, "SVHN/logit/ResNet112_to_ResNet56/0").run.identity.alpha == 0.5


def test_the_whole_of_round_beta(whole_beta: Path) -> None:
    found = collect(whole_beta)
    assert len(found.runs) == 43
    assert sum("scipy" in item.evidence for item in found.runs) == 8
    assert len(found.usable) == 31
    best = {item.run.path: item.run.acc_best for item in found.runs}
    assert [best[f"Cifar100/pure/ResNet56/{seed}"] for seed in range(3)] == [70.43, 71.54, 71.54]
    assert [best[f"Cifar100/logit/ResNet112_to_ResNet56/{seed}"] for seed in range(3)] == [69.39, 72.96, 73.16]
    assert [best[f"Cifar10/pure/ResNet112/{seed}"] for seed in range(3)] == [92.54, 94.21, 93.89]


def test_curves_of_an_unfinished_run_come_from_its_log(beta: Path) -> None:
    run = of(collect(beta), "TinyImageNet/pure/ResNet112/0").run
    assert (run.curves_source, run.first_epoch) == ("logs", 85)
    assert run.curves.test_acc[0] == 36.05
    assert run.curves.test_acc[-1] == 52.86
    assert np.isnan(wall_seconds(run))


def test_the_chance_bound_is_four_standard_errors_above_guessing() -> None:
    assert DATASETS["Cifar10"].chance_accuracy == pytest.approx(11.2)
    assert DATASETS["Cifar100"].chance_accuracy == pytest.approx(1.398, abs=1e-3)


def test_the_table_has_one_row_a_run_and_the_promised_columns(beta: Path) -> None:
    found = collect(beta)
    table = frame(found)
    assert len(table) == len(found.runs) == 23
    promised = "dataset method alpha teacher student seed state verdict epochs acc_last acc_best"
    assert set(promised.split()) <= set(table.columns) == {column.name for column in RUN_COLUMNS}


def test_the_reports_rows_are_those_of_the_table_with_plain_values(beta: Path) -> None:
    found = collect(beta)
    table = frame(found)
    rows = plain_rows(found)
    assert rows == table.astype(object).where(table.notna(), None).to_numpy().tolist()
    assert {type(value) for row in rows for value in row} == {str, int, float, bool, type(None)}


Damage = Callable[[Path], object]


def _nan_curve(run: Path) -> None:
    edit(run / "metrics.json", lambda content: content["train_loss"].__setitem__(7, float("nan")))


def _null_curve(run: Path) -> None:
    edit(run / "metrics.json", lambda content: content["test_loss"].__setitem__(3, None))


def _short_curve(run: Path) -> None:
    edit(run / "metrics.json", lambda content: content.update(test_acc=content["test_acc"][:9]))


def _contradiction(run: Path) -> None:
    edit(run / "status.json", lambda content: content["experiment"].update(alpha=0.75))


def _other_accuracy(run: Path) -> None:
    edit(run / "status.json", lambda content: content.update(acc_last=99.9))


def _other_logits(run: Path) -> None:
    _rewrite(run, lambda arrays: arrays.update(logits=-arrays["logits"]))


def _rewrite(run: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(run / "representations.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(run / "representations.npz", **arrays)


def _shuffled(run: Path) -> None:
    order = np.random.default_rng(0).permutation(60)
    _rewrite(run, lambda arrays: arrays.update({name: values[order] for name, values in arrays.items()}))


def _fewer_items(run: Path) -> None:
    _rewrite(run, lambda arrays: arrays.update({name: values[:50] for name, values in arrays.items()}))


def _truncated(run: Path) -> None:
    content = (run / "representations.npz").read_bytes()
    (run / "representations.npz").write_bytes(content[: len(content) // 2])


def _an_array_of_another_kind(run: Path) -> None:
    np.save(run / "one.npy", np.ones(3))
    (run / "one.npy").rename(run / "representations.npz")


def _metrics_are_a_folder(run: Path) -> None:
    (run / "metrics.json").unlink()
    (run / "metrics.json").mkdir()


def _only_a_job_id(run: Path) -> None:
    (run / "status.json").write_text('{"pbs_job_id": "7002781.sched01"}')
    (run / "metrics.json").unlink()
    (run / "representations.npz").unlink()


def _emptied(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def _on_record(run: Path) -> None:
    digests = {path.name: FileDigest.of(path.read_bytes()).model_dump() for path in run.glob("*.*")}
    edit(run / "status.json", lambda content: content.update(files=digests))


def _edited_curve(run: Path) -> None:
    _on_record(run)
    edit(run / "metrics.json", lambda content: content["test_loss"].__setitem__(3, 0.5))


def _edited_arrays(run: Path) -> None:
    _on_record(run)
    _rewrite(run, lambda arrays: arrays.update(layer1=2 * arrays["layer1"]))


def _edited_arrays_beside(run: Path) -> None:
    shutil.copy(run / "representations.npz", run / "representations_best.npz")
    _on_record(run)
    shutil.copy(run.with_name("1") / "representations.npz", run / "representations_best.npz")


DAMAGES: dict[str, tuple[Damage, str, Verdict]] = {
    "NaN in a curve": (_nan_curve, "not_finite", Verdict.FLAGGED),
    "null in a curve": (_null_curve, "not_finite", Verdict.FLAGGED),
    "a curve is edited": (_edited_curve, "metrics_replaced", Verdict.FLAGGED),
    "arrays are edited": (_edited_arrays, "representations_replaced", Verdict.NOTED),
    "best arrays are another's": (_edited_arrays_beside, "representations_beside_unusable", Verdict.NOTED),
    "short trace": (_short_curve, "short_trace", Verdict.FLAGGED),
    "path contradicts configuration": (_contradiction, "config_contradicts_path", Verdict.FLAGGED),
    "record contradicts curve": (_other_accuracy, "accuracies_differ", Verdict.FLAGGED),
    "logits contradict record": (_other_logits, "logits_contradict_record", Verdict.FLAGGED),
    "other item order": (_shuffled, "other_items", Verdict.NOTED),
    "other number of items": (_fewer_items, "other_items", Verdict.NOTED),
    "truncated npz": (_truncated, "representations_unusable", Verdict.NOTED),
    "no npz at all": (
        lambda run: (run / "representations.npz").write_text("no"),
        "representations_unusable",
        Verdict.NOTED,
    ),
    "an array of another kind": (_an_array_of_another_kind, "representations_unusable", Verdict.NOTED),
    "pickled npz": (
        lambda run: np.savez(run / "representations.npz", labels=np.array([{}], dtype=object)),
        "representations_unusable",
        Verdict.NOTED,
    ),
    "metrics.json is torn": (
        lambda run: (run / "metrics.json").write_text('{"test'),
        "metrics_unreadable",
        Verdict.FLAGGED,
    ),
    "metrics.json is a list": (
        lambda run: (run / "metrics.json").write_text("[]"),
        "metrics_unreadable",
        Verdict.FLAGGED,
    ),
    "metrics.json holds words": (
        lambda run: (run / "metrics.json").write_text('{"test_acc": ["x"]}'),
        "metrics_unreadable",
        Verdict.FLAGGED,
    ),
    "metrics.json is a folder": (_metrics_are_a_folder, "metrics_unreadable", Verdict.FLAGGED),
    "completed without metrics": (
        lambda run: (run / "metrics.json").unlink(),
        "completed_without_metrics",
        Verdict.FLAGGED,
    ),
    "torn record": (lambda run: (run / "status.json").write_text('{"state'), "record_unreadable", Verdict.FLAGGED),
    "record of an unknown state": (
        lambda run: edit(run / "status.json", lambda content: content.update(state="frozen")),
        "record_unreadable",
        Verdict.FLAGGED,
    ),
    "only a job id": (_only_a_job_id, "id_only", Verdict.UNFINISHED),
    "empty run directory": (_emptied, "no_record", Verdict.UNFINISHED),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_named_and_its_neighbours_are_not(tree: Path, name: str) -> None:
    damage, code, verdict = DAMAGES[name]
    damage(tree / RUN)
    found = judged(tree)
    item = of(found, RUN)
    assert code in codes(item), item.evidence
    assert item.verdict == verdict
    assert len(found.runs) == 9
    assert {other.verdict for other in found.runs if other is not item} == {Verdict.OK}


def test_runs_with_equal_trajectories_are_flagged_together(tree: Path) -> None:
    twin = RUN[:-1] + "1"
    shutil.copy(tree / RUN / "metrics.json", tree / twin / "metrics.json")
    edit(tree / twin / "status.json", lambda content: content.update(acc_last=None))
    found = judged(tree)
    for path, other in ((RUN, twin), (twin, RUN)):
        assert "same_trajectory" in codes(of(found, path))
        assert other in of(found, path).evidence


def test_two_folders_of_one_run_are_both_flagged(tree: Path) -> None:
    shutil.copytree(tree / RUN, tree / RUN.replace("alpha_0.5", "alpha_0.50"))
    found = judged(tree)
    assert len(found.runs) == 10
    assert sum("duplicate" in codes(item) for item in found.runs) == 2
    assert RUN not in {item.run.path for item in found.usable.values()}


def test_students_of_a_flagged_teacher_are_flagged(tree: Path) -> None:
    _nan_curve(tree / TEACHER)
    assert "teacher_flagged" in codes(of(judged(tree), RUN))


def test_students_taught_by_other_weights_than_their_siblings_are_flagged(tree: Path) -> None:
    sibling = "Digits/logit/alpha_0.25/ResNet20_to_ResNetBaby/0"
    shutil.copytree(tree / RUN, tree / sibling)
    for path, alpha, digest in ((sibling, 0.25, "a" * 64), (RUN, 0.5, "b" * 64)):
        record = json.loads((tree / path / "status.json").read_text())
        record["provenance"]["teacher"] = {"path": TEACHER, "sha256": digest}
        record["experiment"]["alpha"] = alpha
        (tree / path / "status.json").write_text(json.dumps(record))
    found = judged(tree)
    assert "teacher_weights_differ" in codes(of(found, RUN)) & codes(of(found, sibling))


def test_folders_with_run_files_that_are_no_runs_are_listed(tree: Path) -> None:
    (tree / "old" / "backup").mkdir(parents=True)
    shutil.copy(tree / RUN / "status.json", tree / "old" / "backup" / "status.json")
    assert judged(tree).strays == (Stray("old/backup", "holds run files, but its path is no run's"),)


def test_the_triage_command_prints_every_run_as_json(beta: Path, tmp_path: Path) -> None:
    done = kd_analysis("triage", beta, "--json", "--cache", tmp_path)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert len(runs) == 23
    (rkd,) = (run for run in runs if run["run"] == "Cifar100/rkd/ResNet112_to_ResNet56/0")
    assert {"code", "severity", "evidence"} == set(rkd["findings"][0])


def test_the_triage_command_names_flagged_runs_and_counts(beta: Path, tmp_path: Path) -> None:
    lines = kd_analysis("triage", beta, "--cache", tmp_path).stdout.splitlines()
    assert any(line.startswith("flagged") and "rkd" in line for line in lines)
    assert lines[-1].endswith("of 23 runs are finished, sound and counted.")


@pytest.mark.parametrize("command", ["triage", "report", "plots"])
@pytest.mark.parametrize("place", ["file", "missing"])
def test_a_folder_that_is_none_is_a_usage_error_without_traceback(tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("")
    done = kd_analysis(command, tmp_path / place)
    assert done.returncode == 2
    assert str(tmp_path / place) in done.stderr
    assert "Traceback" not in done.stderr


CRASHED = "== kd job {token} ==\nTraceback (most recent call last):\n  File 'train.py', line 1\n{error}\n"


def test_a_shared_run_is_read_where_its_job_wrote_and_not_blamed(tree: Path) -> None:
    leader, follower = RUN, RUN.removesuffix("0") + "1"
    attempt = {"number": 1, "token": "shared", "scheduler": "pbs", "job_id": "1.vm", "runs": [leader, follower]}
    later = {"number": 2, "token": "later", "scheduler": "pbs", "job_id": "2.vm"}
    edit(tree / leader / "status.json", lambda record: record.update(attempts=[attempt, later]))
    edit(tree / follower / "status.json", lambda record: record.update(attempts=[attempt]))
    assert codes(of(judged(tree), follower)) == set()
    edit(tree / follower / "status.json", lambda record: record.update(state="in_progress", epoch=20))
    assert "crashed" not in codes(of(judged(tree), follower))
    last_words = CRASHED.format(token="shared", error="ValueError: ours") + CRASHED.format(
        token="later", error="OSError"
    )
    (tree / leader / "errors").write_text(last_words)
    (found,) = (finding for finding in of(judged(tree), follower).findings if finding.code == "crashed")
    assert found.evidence == "its last attempt ended with ValueError: ours"
    shutil.rmtree(tree / leader)
    assert "crashed" not in codes(of(judged(tree), follower))


def test_an_earlier_attempts_cause_is_not_held_against_the_next(tree: Path) -> None:
    attempts = [{"number": n, "token": token, "scheduler": "pbs"} for n, token in enumerate(("first", "second"), 1)]
    edit(tree / RUN / "status.json", lambda record: record.update(state="in_progress", epoch=20, attempts=attempts))
    errors = tree / RUN / "errors"
    errors.write_text(CRASHED.format(token="first", error="ValueError: then"))
    assert "crashed" not in codes(of(judged(tree), RUN))
    errors.write_text(errors.read_text() + CRASHED.format(token="second", error="OSError: now"))
    (found,) = (finding for finding in of(judged(tree), RUN).findings if finding.code == "crashed")
    assert found.evidence == "its last attempt ended with OSError: now"
