"""The chapter's facts: what records show and no more, each with its source, in Markdown and in LaTeX that compiles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_analysis.methodology.chapter import (
    NOT_ON_RECORD,
    Chapter,
    Fact,
    FactTable,
    Part,
    as_latex,
    as_markdown,
)
from kd_analysis.methodology.facts import methodology
from kd_analysis.methodology.practice import PRACTICE, page
from kd_analysis.reading.runs_table import collect
from kd_analysis.report.latex import escape_latex
from kd_analysis.report.settings import settings_of
from kd_hpc.campaign import load_campaign
from kd_hpc.catalogue import LOSS_TERMS
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from kd_hpc.triage.run_directory import Identity, Run
from tests import warm
from tests.paths import ROOT

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def facts_of(chapter: Chapter) -> dict[str, Fact]:
    return {fact.name: fact for part in chapter.parts for fact in part.facts}


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Two pure runs on a V100: one in one go, one killed at its walltime and continued."""
    store = Store(tmp_path / "experiments")
    for seed, seconds in ((0, 30.0), (1, 34.0)):
        run = Experiment(dataset="Cifar10", student="ResNet56", seed=seed)
        first = Attempt(
            token=f"t{seed}",
            scheduler="pbs",
            job_id=f"{seed}.sched01",
            host=f"gpu200{seed}",
            walltime="02:00:00",
            memory="16gb",
            submitted_at=START,
            started_at=START + HOUR,
            ended_at=START + 3 * HOUR,
            start_epoch=0,
        )
        second = first.model_copy(
            update={
                "number": 2,
                "job_id": "2.sched01",
                "start_epoch": 90,
                "started_at": START + 4 * HOUR,
                "ended_at": START + 5 * HOUR,
            }
        )
        attempts = (first,) if seed == 0 else (first.model_copy(update={"cause": "walltime"}), second)
        record = StatusRecord(
            state=State.COMPLETED,
            epoch=150,
            epochs=150,
            acc_last=93.0,
            acc_best=93.5,
            experiment=run,
            recipe={"epochs": 150, "lr": 0.1},
            provenance={
                "gpu": "Tesla V100-PCIE-16GB",
                "torch": "2.6.0",
                "code_version": "0.1.0",
                "deterministic": True,
            },
            attempts=attempts,
        )
        store.write(run, record)
        curves = {"test_acc": [93.0] * 150, "seconds": [seconds] * 150}
        (store.directory(run) / "metrics.json").write_text(json.dumps(curves))
    return store.root


def test_what_records_show_is_stated_with_its_count(experiments: Path) -> None:
    found = facts_of(methodology(collect(experiments)))
    assert found["GPU"] == Fact("GPU", "Tesla V100-PCIE-16GB", "2 runs")
    assert found["walltime asked for"] == Fact("walltime asked for", "02:00:00", "3 jobs")
    assert found["machines"].value == "2"
    assert found["most at work at once"].value == "2"
    assert found["seeds"].value == "0 (1), 1 (1)"
    assert found["runs that needed more than one attempt"].value == "1"
    assert found["continued from a checkpoint"].value == "1"
    assert found["attempts that ended early, by cause"].value == "1 walltime"
    assert found["deterministic algorithms"].value == "on"
    assert (found["first job submitted"].value, found["last training ended"].value) == ("2026-03-02", "2026-03-02")


def test_times_a_kind_of_run_against_arithmetic(experiments: Path) -> None:
    (grid,) = (part.grid for part in methodology(collect(experiments)).parts if part.title == "Training time")
    assert grid is not None
    hours = f"{32 * 150 / 3600:.2f} ({30 * 150 / 3600:.2f}–{34 * 150 / 3600:.2f})"
    assert grid.rows == (("Cifar10", "pure", "ResNet56", "2", "32.0 (30.0–34.0)", hours),)


def test_of_a_round_whose_records_say_little_little_is_claimed(beta: Path) -> None:
    found = facts_of(methodology(collect(beta)))
    for name in ("cluster", "GPU", "torch", "checkpoints", "deterministic algorithms", "first job submitted"):
        assert (name, found[name].value) == (name, NOT_ON_RECORD)
    assert not any("V100" in fact.value for fact in found.values())


def test_where_records_are_silent_logs_tell_dates_kills_and_resumptions(beta: Path) -> None:
    chapter = methodology(collect(beta))
    found = facts_of(chapter)
    assert (found["first training started"].value, found["first training started"].source) == ("2026-02-20", "5 logs")
    assert found["continued from a checkpoint"].value == "1"
    assert found["attempts that ended early, by cause"].value == "3 exception, 2 walltime"
    text = as_markdown(chapter)
    assert "TinyImageNet/pure/ResNet112/0 after epoch 85" in text
    assert "PBS: job killed: walltime 7249 exceeded limit 7200" in text


def test_a_setting_stands_beside_the_runs_it_acts_on(synthetic: Path) -> None:
    text = as_markdown(methodology(collect(synthetic)))
    assert "| label smoothing | 0.1 | 4 | all pure runs |" in text
    assert "| epochs | 20 | 16 | all runs |" in text
    assert "2 teachers (ResNet20), 2 pure students (ResNetBaby) and 12 distilled students by 2 methods" in text
    assert "(Logit KD and RKD) at alpha 0.25, 0.5 and 0.75. All 16 runs are finished and sound." in text


def test_settings_of_one_method_are_not_claimed_of_others(experiments: Path) -> None:
    every = collect(experiments).runs
    pure = every[0].run
    recipe = {"temperature": 4.0, "label_smoothing": 0.1, "lr": 0.1, "weights": {"rkd.angle": 3.0}}

    def like(method: str, seed: int) -> Run:
        teacher = None if method == "pure" else "ResNet56"
        identity = Identity("Cifar10", method, None if method == "pure" else 0.5, teacher, "ResNet20", seed)
        assert pure.record is not None
        return replace(
            pure, identity=identity, record=pure.record.model_copy(update={"recipe": recipe, "epochs": None})
        )

    runs = [like(method, seed) for method in ("pure", "logit", "rkd") for seed in (0, 1)]
    found = {each.name: (each.value, each.runs, each.acts_on) for each in settings_of(runs)}
    assert found == {
        "temperature": ("4", 2, "Logit KD"),
        "label smoothing": ("0.1", 2, "all pure runs"),
        "lr": ("0.1", 6, "all runs"),
        "weights": ("rkd.angle 3", 2, "RKD"),
    }


def test_the_sites_facts_come_from_the_campaign_with_their_source(experiments: Path) -> None:
    charlie = load_campaign(ROOT / "campaigns/charlie.toml")
    chapter = methodology(collect(experiments, charlie), charlie)
    found = facts_of(chapter)
    assert found["GPUs of the cluster"].value == "30 NVIDIA V100 in 9 nodes"
    assert found["GPUs of the cluster"].source == "site documentation, to be checked by the author"
    assert found["queue"] == Fact("queue", "gpu_1", "campaign file")
    assert "240 planned" in chapter.remark
    unsourced = charlie.model_copy(update={"facts": {"cluster": "Lengau"}})
    assert "to be checked" in facts_of(methodology(collect(experiments, unsourced), unsourced))["cluster"].source


@given(st.text())
def test_any_text_is_escaped_so_that_no_character_of_it_is_a_command(text: str) -> None:
    plain = escape_latex(text)
    rest = re.sub(r"\\text(?:backslash|asciitilde|asciicircum|less|greater|bar)\{\}|\\[&%$#_{}]", "", plain)
    rest = re.sub(r"\\ensuremath\{(?:-|\\infty|\\pm)\}", "", rest)
    assert not re.search(r"[\\&%$#_{}~^<>|\n]", rest)


HOSTILE = r"50% of a_b & {c} \end{document} ~ # $x^2$ <i> |"


def hostile_chapter() -> Chapter:
    grid = FactTable(HOSTILE, ("a_b", "c%"), ((HOSTILE, "1"), ("2", HOSTILE)))
    return Chapter(
        HOSTILE,
        HOSTILE,
        (Part(HOSTILE, (HOSTILE,), (Fact(HOSTILE, HOSTILE, HOSTILE), Fact(HOSTILE)), grid), Part("empty")),
    )


def test_the_page_of_the_recipe_is_the_table_that_is_quoted() -> None:
    assert (ROOT / "docs/recipe.md").read_text() == page()


def test_every_field_of_the_recipe_stands_in_a_row_with_its_value() -> None:
    rows = {field: row for rows in PRACTICE.values() for row in rows for field in row.fields}
    assert set(rows) == set(Recipe.model_fields)
    for name, field in Recipe.model_fields.items():
        if isinstance(field.default, int | float | str):
            assert str(field.default).removesuffix(".0") in rows[name].ours, name


def test_every_method_has_a_row_with_its_own_weights() -> None:
    rows = {row.subject: row for row in PRACTICE["Methods"]}
    assert set(rows) - {"weights", "calibrated"} == set(LOSS_TERMS)
    for method, terms in LOSS_TERMS.items():
        assert re.search(rf"weights? {' and '.join(f'{weight:g}' for weight in terms.values())}$", rows[method].ours)


def test_the_recipe_is_quoted_with_what_runs_have_otherwise(experiments: Path) -> None:
    store = Store(experiments)
    run = Experiment(dataset="Cifar10", student="ResNet56", seed=0)
    record = store.read(run)
    assert isinstance(record, StatusRecord)
    store.write(run, record.model_copy(update={"recipe": {"epochs": 150, "lr": 0.05}}))
    parts = {part.title: part.grid for part in methodology(collect(experiments)).parts}
    grid = parts["Recipe: optimisation"]
    assert grid is not None
    rows = {row[0]: row for row in grid.rows}
    assert rows["learning rate"][2].startswith("0.1, by a cosine to 0")
    assert rows["learning rate"][2].endswith("; here lr 0.05 (1)")
    assert rows["epochs"][2] == "150"
    assert "of 2 runs" in grid.note


def test_of_runs_of_another_trainer_no_recipe_is_claimed(beta: Path) -> None:
    assert not [part for part in methodology(collect(beta)).parts if part.title.startswith("Recipe")]


@pytest.mark.parametrize("which", ["hostile", "beta", "ours"])
def test_latex_is_well_formed(which: str, beta: Path, experiments: Path, tmp_path: Path) -> None:
    chapters = {"beta": beta, "ours": experiments}
    text = as_latex(hostile_chapter() if which == "hostile" else methodology(collect(chapters[which])))
    assert_well_formed(text)
    if shutil.which("pdflatex"):
        document = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + text + "\\end{document}\n"
        (tmp_path / "chapter.tex").write_text(document)
        words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "chapter.tex"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=1000)
        assert done.returncode == 0, done.stdout[-2000:]
        assert which == "hostile" or "Overfull" not in done.stdout


def assert_well_formed(text: str) -> None:
    """Braces balance, environments nest, rows have as many cells as columns, no special character stands bare."""
    bare = re.sub(r"\\[\\&%$#_{}]", "", text.removeprefix("% \\usepackage{booktabs}\n"))
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    open_environments: list[str] = []
    for word, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        assert word == "begin" or open_environments.pop() == name
        open_environments += [name] if word == "begin" else []
    assert not open_environments
    assert not re.search(r"[%$#_~^]", bare)
    column = r"(?:l|p\{[\d.]+\\linewidth\})"
    pattern = rf"\\begin\{{tabular\}}\{{@\{{\}}({column}+)@\{{\}}\}}(.*?)\\end\{{tabular\}}"
    tables = re.findall(pattern, text, flags=re.DOTALL)
    assert len(tables) == text.count(r"\begin{tabular}") >= 2
    for columns, body in tables:
        assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        for row in (line for line in body.splitlines() if line.endswith(r" \\")):
            assert len(re.findall(r"(?<!\\)&", row)) + 1 == len(re.findall(column, columns)), row


def test_markdown_tables_have_as_many_cells_as_columns() -> None:
    text = as_markdown(hostile_chapter())
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


def test_the_command_prints_markdown_latex_and_json(experiments: Path) -> None:
    def run(*words: str) -> str:
        program = warm.to_start["kd-analysis"]
        return subprocess.run(
            [program, "methodology", experiments, *words], capture_output=True, text=True, check=True, timeout=1000
        ).stdout

    assert run().startswith("# Methodology\n")
    assert run("--latex").startswith("% \\usepackage{booktabs}\n\\section*{Methodology}")
    assert json.loads(run("--json"))["title"] == "Methodology"
