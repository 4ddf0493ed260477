"""The report: every promised file, known numbers of round beta, the same bytes again, nothing hidden or executed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kd_analysis.analysis import analyse
from kd_analysis.report.build import build_document
from kd_analysis.report.document import Column, Document, shown
from kd_analysis.report.html import render_html
from kd_analysis.report.latex import to_latex
from kd_analysis.report.markdown import render_markdown
from kd_analysis.representations.cache import Cache
from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.recipe import Recipe
from tests.analysis.reports import csv_rows, document_of, kd_analysis, rows_of, write
from tests.analysis.trees import TreeSpec, build_tree
from tests.paths import ROOT

SCRIPT = "<script>alert(1)<script>"


def test_the_report_writes_every_promised_file(of_synthetic: Path) -> None:
    for name in ("report.html", "report.md", "report.json", "tables/runs.csv"):
        assert (of_synthetic / name).stat().st_size > 500
    figures = {file.stem for file in (of_synthetic / "figures").glob("*.svg")}
    stems = ("accuracy_over_alpha", "loss_terms", "cka_over_alpha", "transferred", "cross_layer", "residuals")
    assert {f"{stem}_Digits_ResNet20_to_ResNetBaby" for stem in stems} <= figures
    for suffix in ("pdf", "csv"):
        assert figures == {file.stem for file in (of_synthetic / "figures").glob(f"*.{suffix}")}


def test_every_table_that_a_thesis_may_want_is_there_as_latex(of_synthetic: Path) -> None:
    text = (of_synthetic / "tables" / "simultaneous.tex").read_text()
    rules = [line for line in text.splitlines() if line.startswith("\\") and "rule" in line]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert "Logit KD & 0.25 &" in text


def test_one_row_a_run_in_runs_csv(of_beta: Path) -> None:
    found = csv_rows(of_beta, "runs")
    assert len(found) == 23
    (run,) = (row for row in found if row["path"] == "Cifar100/logit/ResNet112_to_ResNet56/0")
    expected = {"dataset": "Cifar100", "method": "logit", "alpha": "0.5", "teacher": "ResNet112", "student": "ResNet56"}
    assert expected.items() <= run.items()
    assert (run["seed"], run["state"], run["verdict"], run["epochs"]) == ("0", "completed", "ok", "150")
    assert (float(run["acc_last"]), float(run["acc_best"])) == (69.33, 69.39)


def test_known_numbers_of_round_beta(beta_document: Document) -> None:
    (cell,) = (
        row for row in rows_of(beta_document, "differences") if (row["dataset"], row["method"]) == ("Cifar100", "logit")
    )
    numbers = [cell[name] for name in ("difference", "difference_best", "low_best")]
    assert numbers == pytest.approx([0.7033, 0.6667, -3.0133], abs=1e-3)
    (joint,) = (
        row
        for row in rows_of(beta_document, "simultaneous")
        if (row["dataset"], row["method"]) == ("Cifar100", "logit")
    )
    assert joint["difference"] == pytest.approx(0.7033, abs=1e-3)
    assert (joint["n"], joint["conclusion"], joint["best_epoch_conclusion"]) == (3, "inconclusive", "inconclusive")


def test_the_report_says_what_is_wrong_unasked(of_beta: Path) -> None:
    text = (of_beta / "report.md").read_text()
    for words in ("runs are quarantined", "ModuleNotFoundError", "18.13 %", "teacher ResNet112 is", "unfinished"):
        assert words in text, words


def test_a_single_seed_gets_no_interval(tmp_path: Path) -> None:
    root = build_tree(tmp_path, TreeSpec(methods=("logit",), alphas=(0.5,), seeds=(0,), items=0))
    (cell,) = rows_of(document_of(root), "simultaneous")
    assert (cell["n"], cell["low"], cell["high"], cell["p_adjusted"]) == (1, None, None, None)
    assert cell["conclusion"] == "inconclusive"


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """Two seeds that agree exactly in the pure student and in one of two cells."""
    root = build_tree(tmp_path_factory.mktemp("tied"), TreeSpec(methods=("logit",), alphas=(0.25, 0.5), items=0))
    for path in root.rglob("alpha_0.5/*/*/status.json"):
        _end_at(path.parent, 95.33)
    for path in root.rglob("pure/ResNetBaby/*/status.json"):
        _end_at(path.parent, 94.78)
    return document_of(root)


def _end_at(run: Path, accuracy: float) -> None:
    curves, record = (json.loads((run / name).read_text()) for name in ("metrics.json", "status.json"))
    curves["test_acc"][-1] = record["acc_last"] = accuracy
    (run / "metrics.json").write_text(json.dumps(curves))
    (run / "status.json").write_text(json.dumps(record))


def test_seeds_that_agree_exactly_get_no_interval_and_the_report_says_why(tied: Document) -> None:
    accuracy = {row["alpha"]: row for row in rows_of(tied, "accuracy") if row["method"] == "logit"}
    assert (accuracy["0.5"]["low"], accuracy["0.5"]["high"], accuracy["0.5"]["sd"]) == (None, None, 0.0)
    assert accuracy["0.5"]["seeds"] == "95.33, 95.33 (equal)"
    assert accuracy["0.25"]["low"] is not None
    (own,) = (row for row in rows_of(tied, "differences") if row["alpha"] == "0.5")
    assert (own["low"], own["high"]) == (None, None)
    page = render_markdown(tied)
    assert "give steps of 0.27 points, cannot tell these seeds apart" in page
    assert "agree exactly in pure ResNetBaby (accuracy)" in page


def test_flagged_runs_enter_no_statistic_and_their_weight_is_said(beta_document: Document) -> None:
    accuracy = {(row["dataset"], row["method"]): row for row in rows_of(beta_document, "accuracy")}
    assert accuracy["Cifar100", "rkd"]["n"] == 0
    changed = {row["cell"]: row for row in rows_of(beta_document, "with_and_without_flagged")}
    assert changed["Cifar100, RKD, alpha 0.5"]["mean with flagged (%)"] == 1.0


def test_the_same_runs_give_the_same_bytes(of_synthetic: Path, synthetic: Path, tmp_path: Path) -> None:
    again = write(synthetic, tmp_path / "report", tmp_path / "cache")
    for file in sorted(path for path in of_synthetic.rglob("*") if path.is_file() and path.name != "report.json"):
        assert file.read_bytes() == (again / file.relative_to(of_synthetic)).read_bytes(), file.name


def test_every_p_value_is_in_the_ledger_and_no_other_is_printed(synthetic_document: Document) -> None:
    ledger = rows_of(synthetic_document, "p_values")
    families = {row["family"] for row in ledger}
    assert families == {"cells against the reference", "slopes over alpha", "means over data sets"}
    assert {row["role"] for row in ledger} == {"declared", "check"}
    of_cells = [row["p_adjusted"] for row in ledger if row["adjustment"] == "Dunnett"]
    assert of_cells == [row["p_adjusted"] for row in rows_of(synthetic_document, "simultaneous")]


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


def test_a_run_named_like_a_script_stays_text(tmp_path: Path) -> None:
    root = build_tree(tmp_path, TreeSpec(methods=("logit",), alphas=(0.5,), items=0))
    (root / "Digits" / "logit").rename(root / "Digits" / SCRIPT)
    document = document_of(root)
    page = _Text()
    page.feed(render_html(document, dict.fromkeys((figure.name for figure in document.figures), b"<svg></svg>")))
    assert page.tags.count("script") == 1
    assert any(SCRIPT in text for text in page.found)
    assert SCRIPT not in render_markdown(document)


@pytest.mark.parametrize("campaign", [False, True])
def test_an_empty_folder_gives_a_report_that_says_so(tmp_path: Path, campaign: bool) -> None:
    plan = load_campaign(ROOT / "campaigns" / "charlie.toml") if campaign else None
    document = document_of(tmp_path, campaign=plan)
    text = render_markdown(document)
    assert "no runs in this folder" in text
    assert ("0 of the 240 runs" in text) is campaign
    assert rows_of(document, "runs") == []


def test_a_partial_campaign_is_counted_against_its_plan(synthetic: Path, tmp_path: Path, shared_cache: Path) -> None:
    plan = tmp_path / "plan.toml"
    text = re.sub(r"seeds = .*", "seeds = [0, 1, 2, 3]", (ROOT / "campaigns" / "digits.toml").read_text())
    plan.write_text(text.replace("epochs = 15", "epochs = 20"))
    words = render_markdown(document_of(synthetic, shared_cache, load_campaign(plan)))
    assert "16 of the 80 runs that the campaign digits plans are finished" in words
    assert "64 have no folder yet" in words


def test_where_student_and_teacher_are_of_one_network_nothing_is_compared_with_a_plain_student(tmp_path: Path) -> None:
    spec = TreeSpec(teacher="ResNetBaby", student="ResNetBaby", methods=("logit",), alphas=(0.5,), seeds=(0,), items=60)
    names = {figure.name for figure in document_of(build_tree(tmp_path / "runs", spec), tmp_path).figures}
    assert not [name for name in names if name.startswith("above_plain")]
    assert [name for name in names if name.startswith("geometry_heatmaps")]


def test_published_accuracies_stand_beside_ours(tmp_path: Path, shared_cache: Path) -> None:
    spec = TreeSpec(methods=("logit",), alphas=(0.5,), items=0)
    plan = Campaign(
        name="published",
        datasets=("Digits",),
        teacher=spec.teacher,
        student=spec.student,
        methods=("logit", "rkd"),
        alphas=(0.5,),
        seeds=spec.seeds,
        recipe=Recipe(epochs=spec.epochs),
        published={"teacher": 90.0, "student": 95.0, "logit": 94.25, "rkd": 99.0},
    )
    document = document_of(build_tree(tmp_path, spec), shared_cache, plan)
    rows, accuracy = rows_of(document, "published"), rows_of(document, "accuracy")
    means = {(row["method"], row["networks"]): row["mean"] for row in accuracy}
    ours = [
        means["pure", spec.teacher],
        means["pure", spec.student],
        means["logit", f"{spec.teacher} to {spec.student}"],
    ]
    assert [(row["published"], row["n"], row["mean"]) for row in rows] == [
        *zip((90.0, 95.0, 94.25), (2, 2, 2), ours, strict=True),
        (99.0, 0, None),
    ]
    assert rows[0]["difference"] == pytest.approx(float(str(ours[0])) - 90)
    assert "published" not in {table.name for table in document_of(tmp_path, shared_cache).tables}


def test_the_report_says_how_hard_each_term_pulled_and_which_hardly_did(tmp_path: Path, shared_cache: Path) -> None:
    spec = TreeSpec(methods=("logit", "attention_transfer"), alphas=(0.5,), items=0)
    build_tree(tmp_path, spec)
    for record in tmp_path.glob("Digits/*/alpha_0.5/**/status.json"):
        method, seed = record.relative_to(tmp_path).parts[1], int(record.parent.name)
        content, metrics = (json.loads(path.read_text()) for path in (record, record.with_name("metrics.json")))
        weight, pull = (2.0, 0.3 + seed) if method == "logit" else (1.0, 0.06)
        content["provenance"]["weights"] = {f"{method} term": weight}
        ce = metrics["gradient_norms"]["ce"]
        metrics["gradient_norms"][f"{method} term"] = [pull / weight * value for value in ce]
        record.write_text(json.dumps(content))
        record.with_name("metrics.json").write_text(json.dumps(metrics))
    document = document_of(tmp_path, shared_cache)
    rows = {row["method"]: row for row in rows_of(document, "strength")}
    assert (rows["logit"]["weights"], rows["logit"]["n"]) == ("2", 2)
    assert rows["logit"]["first"] == pytest.approx((0.3 + 1.3) / 2)
    assert rows["attention_transfer"]["first"] == pytest.approx(0.06)
    words = render_markdown(document)
    assert "AT: every term pulled less than a tenth as hard as the labels" in words
    assert "Equal alpha is not equal strength" in words


def test_runs_of_another_recipe_are_other_runs_and_said_first(synthetic: Path, shared_cache: Path) -> None:
    document = document_of(synthetic, shared_cache, load_campaign(ROOT / "campaigns" / "digits.toml"))
    first = document.sections[0].blocks[0]
    assert "16 runs were trained with another recipe" in str(first)
    assert {row["verdict"] for row in rows_of(document, "runs")} == {"flagged"}
    assert "epochs 20, the campaign's is 15" in str(rows_of(document, "runs")[0]["evidence"])


def test_files_of_an_earlier_report_do_not_stay(
    synthetic: Path, beta: Path, tmp_path: Path, shared_cache: Path
) -> None:
    output = write(synthetic, tmp_path / "report", shared_cache)
    mine = output / "figures" / "mine.svg"
    mine.write_text("kept")
    write(beta, output, shared_cache)
    names = {file.stem for file in (output / "figures").iterdir()}
    assert mine.exists()
    assert not any("Digits" in name for name in names)


def test_an_output_that_is_a_file_is_a_usage_error(beta: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    done = kd_analysis("report", beta, "-o", tmp_path / "report", "--cache", tmp_path / "cache")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report").read_text() == "mine"


def test_the_program_prints_where_the_report_is(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    output = tmp_path / "report"
    done = kd_analysis("report", tmp_path / "runs", "-o", output, "--cache", tmp_path / "cache", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output / "report.html")


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
    assert re.search(r"table simultaneous, row \d+, difference", done.stdout)
    assert "Traceback" not in done.stderr


def test_verify_of_a_folder_that_is_no_report_is_a_usage_error(tmp_path: Path) -> None:
    done = kd_analysis("report", "--verify", tmp_path)
    assert done.returncode == 2
    assert "report.json" in done.stderr


def test_the_page_asks_for_nothing_outside_itself(of_synthetic: Path) -> None:
    page = (of_synthetic / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", page)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page).replace("http-equiv", "")


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (-0.0001, Column("x", 2, signed=True), "0.00"),
        (0.004, Column("x", 2, signed=True), "0.00"),
        (-0.004, Column("x", 2), "0.00"),
        (0.04, Column("x", 1, signed=True), "0.0"),
        (-1.5, Column("x", 2, signed=True), "-1.50"),
        (100.4, Column("x", 2, kind="percent"), "100.00"),
        (1.0, Column("x", kind="p"), "1"),
        (0.99999, Column("x", kind="p"), ">0.999"),
        (1e-9, Column("x", kind="p"), "<0.0001"),
        (0.0396, Column("x", kind="p"), "0.040"),
        ("factor_transfer", Column("x", kind="method"), "FT"),
        ("logit+random_teacher", Column("x", kind="method"), "Logit KD (random teacher)"),
        ("my_own", Column("x", kind="method"), "my own"),
    ],
)
def test_numbers_are_shown_without_false_signs_and_digits(value: object, column: Column, text: str) -> None:
    assert shown(value, column) == text  # type: ignore[arg-type]


def test_intervals_of_accuracies_end_at_a_hundred_percent(synthetic_document: Document) -> None:
    (table,) = (table for table in synthetic_document.tables if table.name == "accuracy")
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds["low"] == kinds["high"] == "percent"


def test_no_empty_table_is_shown(beta_document: Document) -> None:
    page = render_html(beta_document, dict.fromkeys((figure.name for figure in beta_document.figures), b"<svg></svg>"))
    assert "<tbody>\n    </tbody>" not in page


def test_latex_tables_have_as_many_cells_as_columns(synthetic_document: Document) -> None:
    for table in synthetic_document.tables:
        kinds = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", to_latex(table))
        rows = [line for line in to_latex(table).splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(kinds[0])}, table.name


def test_what_is_undefined_for_a_network_is_missing_and_named_in_triage(synthetic: Path, shared_cache: Path) -> None:
    analysis = analyse(synthetic, None, Cache(shared_cache / "geometry"), 1)
    place, value = next(
        (p, v)
        for p, v in enumerate(analysis.values)
        if (v.name, v.layer) == ("two_nn", "layer2") and v.identity.is_pure
    )
    values = (*analysis.values[:place], replace(value, value=float("nan")), *analysis.values[place + 1 :])
    document = build_document(replace(analysis, values=values))
    path = analysis.tree.by_identity[value.identity].run.path
    assert f"TwoNN of layer2 ({path})" in str(document.sections)
    (row,) = (
        row
        for row in rows_of(document, "geometry")
        if (row["run"], row["layer"], row["measure"]) == (path, "layer2", "two_nn")
    )
    assert row["value"] is None
    name = f"{value.identity.method} {value.identity.student}"
    (means,) = (
        row
        for row in rows_of(document, "dimensions_Digits_ResNet20_to_ResNetBaby")
        if (row["layer"], row["network"]) == ("layer2", name)
    )
    assert (means["n_two_nn"], means["n_effective_rank"]) == (1, 2)
