"""The report as a user gets it: real processes on real files, known numbers, the same bytes again, nothing
unescaped."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.trees import TreeSpec, build_tree
from tests.paths import ROOT

SCRIPT = "<script>alert(1)<script>"


def kd_analysis(*words: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from kd_analysis.cli import main; main()"]
    return subprocess.run([*program, *map(str, words)], capture_output=True, text=True)


@pytest.fixture(scope="session")
def of_beta(beta: Path, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    root = tmp_path_factory.mktemp("beta")
    return write(beta, root, shared_cache)


@pytest.fixture(scope="session")
def of_synthetic(synthetic: Path, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return write(synthetic, tmp_path_factory.mktemp("of_synthetic"), shared_cache)


def write(experiments: Path, root: Path, cache: Path, *options: object) -> Path:
    output = root / "report"
    done = kd_analysis("report", experiments, "-o", output, "--cache", cache, "--workers", 1, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output / "report.html")
    return output


def rows(report: Path, name: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_report_writes_every_promised_file(of_synthetic: Path) -> None:
    for name in ("report.html", "report.md", "report.json", "tables/runs.csv"):
        assert (of_synthetic / name).stat().st_size > 500
    figures = {file.stem for file in (of_synthetic / "figures").glob("*.svg")}
    for setting in ("Digits_ResNet20_to_ResNetBaby",):
        for stem in (
            "accuracy_over_alpha",
            "training_test_acc",
            "loss_terms",
            "cka_over_alpha",
            "transferred",
            "cross_layer",
        ):
            assert f"{stem}_{setting}" in figures
    assert figures == {file.stem for file in (of_synthetic / "figures").glob("*.pdf")}


def test_one_row_a_run_in_runs_csv(of_beta: Path) -> None:
    found = rows(of_beta, "runs")
    assert len(found) == 23
    (run,) = (row for row in found if row["path"] == "Cifar100/logit/ResNet112_to_ResNet56/0")
    expected = {"dataset": "Cifar100", "method": "logit", "alpha": "0.5", "teacher": "ResNet112", "student": "ResNet56"}
    assert expected.items() <= run.items()
    assert (run["seed"], run["state"], run["verdict"], run["epochs"]) == ("0", "completed", "ok", "150")
    assert (float(run["acc_last"]), float(run["acc_best"])) == (69.33, 69.39)


def test_known_numbers_of_round_beta(of_beta: Path) -> None:
    (cell,) = (
        row for row in rows(of_beta, "differences") if row["data set"] == "Cifar100" and row["method"] == "logit"
    )
    assert float(cell["last epoch (points)"]) == pytest.approx(0.7033, abs=1e-3)
    assert float(cell["best epoch (points)"]) == pytest.approx(0.6667, abs=1e-3)
    assert float(cell["low, best"]) == pytest.approx(-3.01, abs=0.01)
    assert cell["conclusion"] == cell["conclusion, best"] == "inconclusive"
    sentence = "Cifar100, logit, alpha 0.5: +0.70 points [-2.8, +4.2], n=3, inconclusive"
    assert sentence in (of_beta / "report.md").read_text()


def test_the_report_says_what_is_wrong_unasked(of_beta: Path) -> None:
    text = (of_beta / "report.md").read_text()
    for words in ("runs are quarantined", "ModuleNotFoundError", "18.13 %", "teacher ResNet112 is", "unfinished"):
        assert words in text, words


def test_a_single_seed_gets_no_interval(whole_beta: Path, tmp_path: Path, shared_cache: Path) -> None:
    (cell,) = (
        row
        for row in rows(write(whole_beta, tmp_path, shared_cache), "differences")
        if (row["data set"], row["method"]) == ("Cifar10", "nst")
    )
    assert (cell["n"], cell["low"], cell["high"]) == ("1", "", "")


def test_seeds_that_agree_exactly_get_no_interval_and_the_report_says_why(tmp_path: Path, shared_cache: Path) -> None:
    root = build_tree(tmp_path / "experiments", TreeSpec(methods=("logit",), alphas=(0.25, 0.5), items=0))
    for path in root.rglob("alpha_0.5/*/*/status.json"):
        _end_at(path.parent, 95.33)
    for path in root.rglob("pure/ResNetBaby/*/status.json"):
        _end_at(path.parent, 94.78)
    report = write(root, tmp_path, shared_cache)
    accuracy = {row["alpha"]: row for row in rows(report, "accuracy") if row["method"] == "logit"}
    assert (accuracy["0.5"]["low"], accuracy["0.5"]["high"], accuracy["0.5"]["SD"]) == ("", "", "0.0")
    assert accuracy["0.5"]["each seed, last (%)"] == "95.33, 95.33 (equal)"
    assert accuracy["0.25"]["low"] != ""
    (cell,) = (row for row in rows(report, "differences") if row["alpha"] == "0.5")
    assert (cell["low"], cell["conclusion"]) == ("", "inconclusive: seeds agree")
    (power,) = (row for row in rows(report, "power") if row["alpha"] == "0.5")
    assert power["detectable at 80 % power (points)"] == power["seeds needed for the effect seen"] == ""
    page = (report / "report.html").read_text()
    for words in (
        "in steps of 0.27 points, cannot tell these seeds apart",
        "agree exactly in pure ResNetBaby (accuracy)",
    ):
        assert words in page
    assert "[+0.5, +0.5]" not in page


def _end_at(run: Path, accuracy: float) -> None:
    changes: tuple[tuple[str, Callable[[Any], None]], ...] = (
        ("metrics.json", lambda content: content["test_acc"].__setitem__(-1, accuracy)),
        ("status.json", lambda content: content.update(acc_last=accuracy)),
    )
    for name, change in changes:
        content = json.loads((run / name).read_text())
        change(content)
        (run / name).write_text(json.dumps(content))


def test_flagged_runs_enter_no_statistic_and_their_weight_is_said(of_beta: Path) -> None:
    accuracy = {(row["data set"], row["method"]): row for row in rows(of_beta, "accuracy")}
    assert accuracy["Cifar100", "rkd"]["n"] == "0"
    changed = {row["cell"]: row for row in rows(of_beta, "with_and_without_flagged")}
    assert changed["Cifar100, rkd, alpha 0.5"]["mean with flagged (%)"] == "1.0"


def test_the_same_runs_give_the_same_bytes(of_synthetic: Path, synthetic: Path, tmp_path: Path) -> None:
    again = write(synthetic, tmp_path, tmp_path / "cache")
    for file in sorted(path for path in of_synthetic.rglob("*") if path.is_file() and path.name != "report.json"):
        assert file.read_bytes() == (again / file.relative_to(of_synthetic)).read_bytes(), file.name


def test_every_p_value_is_in_the_ledger(of_synthetic: Path) -> None:
    ledger = rows(of_synthetic, "p_values")
    families = {row["family"] for row in ledger}
    assert families == {"gain over pure training", "rise with alpha", "rise with alpha, without the largest"}
    recorded = json.loads((of_synthetic / "report.json").read_text())["p_values"]
    assert [row["p"] for row in ledger] == [str(entry["p"]) for entry in recorded]
    printed = set(re.findall(r"adjusted p = ([0-9.e-]+)", (of_synthetic / "report.md").read_text()))
    assert printed <= {f"{float(row['p, Holm']):.3g}" for row in ledger}


def test_markdown_and_html_hold_the_same_text_and_numbers(of_beta: Path) -> None:
    html = _Text()
    html.feed((of_beta / "report.html").read_text())
    words = set(re.findall(r"[\w.%+-]+", "".join(html.found)))
    plain = re.sub(r"\\(.)", r"\1", re.sub(r"!?\[[^\]]*\]\([^)]*\)|&[a-z]+;", " ", (of_beta / "report.md").read_text()))
    numbers = set(re.findall(r"[+-]?\d+\.\d+", plain))
    assert len(numbers) > 60
    assert numbers <= words | set(re.findall(r"[+-]?\d+\.\d+", " ".join(words)))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_a_run_named_like_a_script_stays_text(tmp_path: Path, shared_cache: Path) -> None:
    spec = TreeSpec(methods=("logit",), alphas=(0.5,), items=0)
    root = build_tree(tmp_path / "experiments", spec)
    (root / "Digits" / "logit").rename(root / "Digits" / SCRIPT)
    report = write(root, tmp_path, shared_cache)
    page = _Text()
    page.feed((report / "report.html").read_text())
    assert page.tags.count("script") == 1
    assert any(SCRIPT in text for text in page.found)
    assert SCRIPT not in (report / "report.md").read_text()


@pytest.mark.parametrize("campaign", [False, True])
def test_an_empty_folder_gives_a_report_that_says_so(tmp_path: Path, shared_cache: Path, campaign: bool) -> None:
    (tmp_path / "experiments").mkdir()
    plan = ROOT / "campaigns" / "charlie.toml"
    report = write(tmp_path / "experiments", tmp_path, shared_cache, *(("--campaign", plan) if campaign else ()))
    text = (report / "report.md").read_text()
    assert ("0 of 240 runs" if campaign else "no runs in this folder") in text
    assert rows(report, "runs") == []


def test_a_partial_campaign_is_counted_against_its_plan(synthetic: Path, tmp_path: Path, shared_cache: Path) -> None:
    plan = tmp_path / "plan.toml"
    text = (ROOT / "campaigns" / "digits.toml").read_text()
    plan.write_text(re.sub(r"seeds = .*", "seeds = [0, 1, 2, 3]", text))
    report = write(synthetic, tmp_path, shared_cache, "--campaign", plan)
    text = (report / "report.md").read_text()
    assert "16 of 80 runs are finished" in text
    assert "plans 80 runs; 64 have no folder yet" in text


def test_files_of_an_earlier_report_do_not_stay(
    synthetic: Path, beta: Path, tmp_path: Path, shared_cache: Path
) -> None:
    output = write(synthetic, tmp_path, shared_cache)
    mine = output / "figures" / "mine.svg"
    mine.write_text("kept")
    write(beta, tmp_path, shared_cache)
    names = {file.stem for file in (output / "figures").iterdir()}
    assert mine.exists()
    assert not any("Digits" in name for name in names)


def test_an_output_that_is_a_file_is_a_usage_error(beta: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    done = kd_analysis("report", beta, "-o", tmp_path / "report", "--cache", tmp_path / "cache")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report").read_text() == "mine"


def test_verify_accepts_an_untouched_report_of_untouched_runs(of_synthetic: Path) -> None:
    done = kd_analysis("report", "--verify", of_synthetic)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is what its runs say" in done.stdout


def test_verify_names_a_changed_file_and_a_changed_run(beta: Path, of_beta: Path, tmp_path: Path) -> None:
    root, report = tmp_path / "experiments", tmp_path / "report"
    shutil.copytree(beta, root)
    shutil.copytree(of_beta, report)
    page = report / "report.md"
    page.write_text(page.read_text().replace("inconclusive", "supported"))
    path = root / "Cifar100" / "logit" / "ResNet112_to_ResNet56" / "1" / "metrics.json"
    content = json.loads(path.read_text())
    content["test_acc"][-1] += 1
    path.write_text(json.dumps(content))
    done = kd_analysis("report", root, "--verify", report)
    assert done.returncode == 1
    assert "report.md is not the file that was written" in done.stdout
    assert re.search(r"table differences, row \d+, last epoch", done.stdout)
    assert "Traceback" not in done.stderr


def test_verify_of_a_folder_that_is_no_report_is_a_usage_error(tmp_path: Path) -> None:
    done = kd_analysis("report", "--verify", tmp_path)
    assert done.returncode == 2
    assert "report.json" in done.stderr


def test_the_page_asks_for_nothing_outside_itself(of_synthetic: Path) -> None:
    page = (of_synthetic / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", page)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page).replace("http-equiv", "")
