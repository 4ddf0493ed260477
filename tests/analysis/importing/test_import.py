"""Results of others: read as they are published, judged by the same grammar, nothing invented, nothing overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kd_analysis.importing.import_runs import import_runs
from kd_analysis.report.markdown import render_markdown
from kd_hpc.errors import UsageError
from tests.analysis.reports import document_of, kd_analysis, rows_of

BASE = (94.98, 94.72, 94.91, 94.66, 94.83)
GAINS = (0.31, 0.05, 0.28, 0.11, 0.20)


def publish(path: Path, seed: int, accuracy: float, kind: str = "none", **more: object) -> None:
    """A results.json as kd-capacity-gap writes them."""
    about = {"model": "resnet18", "teacher": None if kind == "none" else "resnet34", "kd_type": kind}
    found = {**about, "alpha": 0.7, "temperature": 4.0, "stem": "cifar", "seed": seed, "epochs": 3, **more}
    history = [{"epoch": n, "val_acc": 0.5, "loss_total": 1.0 / n, "train_acc": 0.4 + n / 10} for n in (1, 2, 3)]
    path.mkdir(parents=True)
    found |= {"test_acc_best": accuracy / 100 + 0.001, "test_acc_final": accuracy / 100, "history": history}
    (path / "results.json").write_text(json.dumps(found))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    for seed, (base, gain) in enumerate(zip(BASE, GAINS, strict=True)):
        publish(root / "baseline" / f"seed{seed}", seed, base)
        publish(root / "feature" / f"seed{seed}", seed, base + gain, "feature")
    return root


def test_published_accuracies_meet_the_reports_grammar(published: Path, tmp_path: Path) -> None:
    found = import_runs(published, tmp_path / "theirs", "Cifar10")
    assert len(found.runs) == 10
    document = document_of(tmp_path / "theirs")
    (row,) = rows_of(document, "simultaneous")
    assert (row["method"], row["alpha"], row["n"], row["networks"]) == ("feature", "0.7", 5, "resnet34 to resnet18")
    assert row["difference"] == pytest.approx(np.mean(GAINS))
    # two cells and five seeds as blocks: the model's t is the paired one
    assert row["p_adjusted"] == pytest.approx(stats.ttest_1samp(GAINS, 0).pvalue)
    own = rows_of(document, "differences")[0]
    expected = stats.ttest_1samp(GAINS, 0).confidence_interval(0.95)
    assert (own["low"], own["high"]) == pytest.approx((expected.low, expected.high))
    assert {item["verdict"] for item in rows_of(document, "runs")} <= {"ok", "noted"}


def test_nothing_is_claimed_that_was_not_published(published: Path, tmp_path: Path) -> None:
    import_runs(published, tmp_path / "theirs", "Cifar10")
    runs = rows_of(document_of(tmp_path / "theirs"), "runs")
    assert {row["acc_best"] for row in runs} == {None}  # chosen on a validation set: not the best on the test set
    record = json.loads((tmp_path / "theirs/Cifar10/feature/alpha_0.7/resnet34_to_resnet18/0/status.json").read_text())
    assert record["provenance"]["settings"]["temperature"] == 4.0
    assert record["provenance"]["imported"]["file"].endswith("feature/seed0/results.json")


def test_two_files_that_would_be_one_run_are_refused(published: Path, tmp_path: Path) -> None:
    publish(published / "select" / "t2", 0, 95.0, "feature", temperature=2.0)
    with pytest.raises(UsageError, match=r"would both be .*They differ in temperature"):
        import_runs(published, tmp_path / "theirs", "Cifar10")
    assert not (tmp_path / "theirs").exists()


def test_an_import_may_be_repeated_and_takes_no_others_folder(published: Path, tmp_path: Path) -> None:
    first = import_runs(published, tmp_path / "theirs", "Cifar10")
    assert import_runs(published, tmp_path / "theirs", "Cifar10").runs.keys() == first.runs.keys()
    status = tmp_path / "theirs/Cifar10/pure/resnet18/0/status.json"
    status.write_text('{"state": "completed"}')
    with pytest.raises(UsageError, match="is taken by another run"):
        import_runs(published, tmp_path / "theirs", "Cifar10")
    assert status.read_text() == '{"state": "completed"}'


def worklog(folder: Path, accuracies: tuple[float, ...], *, again: float | None = None) -> None:
    """A worklog.txt as mdistiller writes them; `again` is the last epoch logged a second time after a resumption."""
    lines = []
    logged = [*enumerate(accuracies, start=1), *([(len(accuracies), again)] if again is not None else [])]
    for epoch, accuracy in logged:
        numbers = {"train_acc": 50.0, "train_loss": 2.0, "test_acc": accuracy, "test_acc_top5": 99.0, "test_loss": 1.0}
        rows = [f"epoch: {epoch}", "lr: 0.05", *(f"{name}: {value:.2f}" for name, value in numbers.items())]
        lines += ["-" * 25, *rows, "-" * 25]
    folder.mkdir(parents=True)
    (folder / "worklog.txt").write_text("\n".join([*lines, f"best_acc\t{max(accuracies):.2f}"]))


def test_worklogs_of_mdistiller_are_read_and_a_single_one_is_a_point(tmp_path: Path) -> None:
    root = tmp_path / "output" / "cifar100_baselines"
    worklog(root / "kd,resnet32x4,resnet8x4,2,9", (60.0, 74.5, 73.3), again=73.4)
    worklog(root / "dkd,resnet32x4,resnet8x4", (60.0, 70.0, 76.3))
    worklog(root / "vanilla,resnet8x4", (60.0, 70.0, 72.5))
    found = import_runs(tmp_path / "output", tmp_path / "theirs", None)
    assert {str(place) for place in found.runs} == {
        "Cifar100/logit/resnet32x4_to_resnet8x4/0",
        "Cifar100/dkd/resnet32x4_to_resnet8x4/0",
        "Cifar100/pure/resnet8x4/0",
    }
    assert len(found.numbered) == 3
    document = document_of(tmp_path / "theirs")
    rows = {row["method"]: row for row in rows_of(document, "simultaneous")}
    assert rows["logit"]["difference"] == pytest.approx(73.4 - 72.5)
    assert (rows["logit"]["n"], rows["logit"]["low"], rows["logit"]["conclusion"]) == (1, None, "inconclusive")
    assert "one seed carries none" in render_markdown(document)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a,b,c/worklog.txt", "epoch: 1\n", "holds no epoch with a test accuracy"),
        ("nameless/worklog.txt", "", "is not called method,teacher,student"),
        ("results.json", "[]", "holds no object"),
        ("results.json", "{", "cannot be read"),
        ("results.json", '{"kd_type": "none"}', "is no result of a run"),
        ("other.json", "{}", "Known are files called results.json and worklog.txt"),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UsageError, match="could be read as results") as raised:
        import_runs(tmp_path / "in", tmp_path / "theirs", "Cifar10")
    assert words in str(raised.value)


def test_the_command_says_what_it_read_and_what_not(published: Path, tmp_path: Path) -> None:
    (published / "broken").mkdir()
    (published / "broken" / "results.json").write_text("{")
    done = kd_analysis("import", published, "-o", tmp_path / "theirs", "--dataset", "Cifar10")
    assert done.returncode == 1
    assert "Cifar10/pure/resnet18/0: 94.98 % after 3 epochs" in done.stdout
    assert "not read:" in done.stderr
    assert "Traceback" not in done.stderr
    without = kd_analysis("import", published, "-o", tmp_path / "more")
    assert without.returncode == 2
    assert "--dataset" in without.stderr
