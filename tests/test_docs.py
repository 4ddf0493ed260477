"""The documents tell the truth: every command is in them, and every command in them works."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tests.paths import ROOT

BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", ROOT / "docs/index.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
OWN_CAMPAIGN = ROOT / "docs/guide/a-campaign-of-your-own.md"
CATALOGUE = "packages/kd-hpc/src/kd_hpc/catalogue.py"
OUTSIDE = ("bash toolbox/setup.sh", "bash toolbox/quickstart.sh", "bash toolbox/test.sh")
"""Run by tests/test_quickstart.py (--long), and the command that runs this very test."""
SHORTER = {
    "epochs = 15": "epochs = 3",
    'methods = ["logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst"]': 'methods = ["logit"]',
    "alphas = [0.25, 0.5, 0.75]": "alphas = [0.5]",
    "seeds = [0, 1, 2]": "seeds = [0]",
}


def commands_of(app: typer.Typer) -> Iterator[tuple[str, str]]:
    """Every command of a program as typed, and its help."""

    def walk(command: object, words: str) -> Iterator[tuple[str, str]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, getattr(command, "help", "") or ""
        for name, child in (inner or {}).items():
            yield from walk(child, f"{words} {name}")

    yield from walk(get_command(app), str(app.info.name))


def all_commands() -> list[tuple[str, str]]:
    from kd_analysis.cli import app as analysis
    from kd_core.cli import app as core
    from kd_hpc.cli import app as hpc

    return [found for app in (hpc, core, analysis) for found in commands_of(app)]


def printed_commands(page: Path) -> list[str]:
    return [step.line for step in steps_of(page) if isinstance(step, Typed)]


@pytest.mark.parametrize(("command", "text"), all_commands(), ids=lambda value: value if "\n" not in value else "")
def test_every_command_has_help_with_an_example_and_is_in_the_guide(command: str, text: str) -> None:
    assert len(text.split()) >= 5
    assert command in text, "its help shows no example"
    assert any(line.startswith(command) for page in PAGES for line in printed_commands(page))


@pytest.mark.parametrize("page", [page for page in PAGES if page != OWN_CAMPAIGN], ids=lambda page: page.name)
def test_every_command_in_a_page_works(page: Path, tmp_path: Path, warm_programs: Path) -> None:
    follow(page, tmp_path, warm_programs)


def test_after_the_quickstart_ones_own_campaign_trains_what_its_page_says(tmp_path: Path, warm_programs: Path) -> None:
    quickstart = finished_quickstart(tmp_path)
    follow(OWN_CAMPAIGN, tmp_path, warm_programs)
    mine = [json.loads(path.read_text()) for path in tmp_path.glob("mine/Digits/**/status.json")]
    assert {(record["state"], record["epoch"], record["recipe"]["batch_size"]) for record in mine} == {
        ("completed", 3, 128)
    }
    assert len(mine) == 3
    assert {path: path.read_bytes() for path in quickstart} == quickstart


def finished_quickstart(root: Path) -> dict[Path, bytes]:
    """The records that the quickstart leaves in `root`."""
    from kd_hpc.campaign import load_campaign
    from kd_hpc.records import State, StatusRecord
    from kd_hpc.store import Store

    campaign, store = load_campaign(ROOT / "campaigns/digits.toml"), Store(root / "experiments")
    for run in campaign.experiments():
        recipe = campaign.recipe_for(run).model_dump(mode="json")
        record = StatusRecord(state=State.COMPLETED, experiment=run, epoch=15, epochs=15, recipe=recipe)
        store.write(run, record)
    return {path: path.read_bytes() for path in store.root.glob("**/status.json")}


def follow(page: Path, root: Path, programs: Path) -> None:
    """Do in `root` what a reader of the page does with the commands in `programs`, each command succeeding."""
    environment = workplace(root, programs, own_packages=f"of `{CATALOGUE}`" in page.read_text())
    printed = ""
    for step in steps_of(page):
        match step:
            case Typed(line):
                printed = type_in(line, root, environment)
            case Written():
                step.write(root)
                if step.path.startswith("packages/"):
                    environment["PYTHONPATH"] = ":".join(str(path) for path in root.glob("packages/*/src"))
            case Quoted(line):
                assert is_quoted(line, printed), printed


@dataclass(frozen=True)
class Typed:
    """A command that a page prints."""

    line: str


@dataclass(frozen=True)
class Quoted:
    """A line, or part of one, that the last command printed."""

    line: str


@dataclass(frozen=True)
class Written:
    """A file that a page prints, or lines for the list called `within` in a file that there is."""

    path: str
    text: str
    within: str = ""

    def write(self, root: Path) -> None:
        path = root / self.path
        if not self.within:
            path.write_text(self.text)
            return
        opening = re.compile(rf"^{self.within}: .*[({{]\n", flags=re.MULTILINE)
        assert len(opening.findall(path.read_text())) == 1
        path.write_text(opening.sub(lambda found: found[0] + self.text, path.read_text()))


def steps_of(page: Path) -> Iterator[Typed | Quoted | Written]:
    """What a reader does, in the page's order. The paragraph above a block that is a file (or a diff) names it."""
    for above, kind, block in blocks_of(page.read_text()):
        if kind == "bash":
            yield from (Typed(line) for line in block.splitlines() if line and not line.startswith("#"))
        elif kind == "text":
            yield from map(Quoted, block.splitlines())
        elif kind == "diff":
            within, path = re.findall(r"[Ii]n\s`(\w+)`\sof\s`([\w./-]+)`", above)[-1]
            yield Written(path, re.sub(r"^\+", "", block, flags=re.MULTILINE), within)
        elif kind in ("toml", "python", "json"):
            yield Written(re.findall(r"`([\w./-]+\.(?:toml|py|json))`", above)[-1], block)


def blocks_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Each fenced block: the paragraph above it, its language, its content."""
    outside, *fenced = re.split(r"^```", text, flags=re.MULTILINE)
    for inside, after in zip(fenced[::2], fenced[1::2], strict=True):
        language, _, content = inside.partition("\n")
        yield outside.rstrip().rpartition("\n\n")[2], language, content
        outside = after


def workplace(root: Path, programs: Path, *, own_packages: bool) -> dict[str, str]:
    """Make `root` a clone with a short quickstart, with packages to change if asked; the environment to type in."""
    environment = {**os.environ, "PATH": f"{programs}:{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for name in ("toolbox", "tests"):
        (root / name).symlink_to(ROOT / name)
    if own_packages:
        shutil.copytree(ROOT / "packages", root / "packages", ignore=shutil.ignore_patterns("__pycache__"))
    else:
        (root / "packages").symlink_to(ROOT / "packages")
    (root / "campaigns").mkdir()
    for campaign in (ROOT / "campaigns").glob("*.toml"):
        text = campaign.read_text()
        for long, short in SHORTER.items():
            text = text.replace(long, short) if campaign.name == "digits.toml" else text
        (root / "campaigns" / campaign.name).write_text(text)
    return environment


def is_quoted(line: str, printed: str) -> bool:
    """Whether `line` stands in what was printed, columns of any width, measured numbers as another processor rounds."""
    if " ".join(line.split()) in " ".join(printed.split()):
        return True
    wanted, words = line.split(), printed.split()
    places = range(len(words) - len(wanted) + 1)
    return any(all(map(is_alike, wanted, words[at : at + len(wanted)])) for at in places)


def is_alike(wanted: str, word: str) -> bool:
    number = re.compile(r"-?\d+\.\d+")
    if number.fullmatch(wanted) and number.fullmatch(word):
        return math.isclose(float(wanted), float(word), rel_tol=0.02)
    return wanted == word


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("rows  0.05  12.9  0.645", True),
        ("rows 0.05 12.9 0.68", False),
        ("rows 0.05 12.9 7", False),
        ("ows 0.05", True),
        ("rows 0.05 12.9 0.647 more", False),
    ],
)
def test_a_page_may_quote_a_measured_number_as_another_processor_rounds_it(line: str, found: bool) -> None:
    assert is_quoted(line, "table\nrows   0.05 12.94   0.647\n") is found


def type_in(line: str, root: Path, environment: dict[str, str]) -> str:
    """What the command prints, having succeeded."""
    if line in OUTSIDE:
        return ""
    done = subprocess.run(
        shlex.split(line),
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_readme_names_every_folder_there_is() -> None:
    readme = (ROOT / "README.md").read_text()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    folders = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    for folder in folders - {"packages", "docs", "constraints"}:
        assert f"    {folder}/" in readme, folder
    for package in ("kd-hpc", "kd-core", "kd-analysis"):
        assert f"packages/{package}/" in readme


TEXTS = sorted({*PAGES, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*.md")})
every_text = pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
FILES = r"\b((?:tests|toolbox|benchmarks|packages|campaigns|constraints|docs)/[\w./-]*\w\.(?:py|sh|toml|md|txt))\b"


@every_text
def test_the_modules_that_a_page_names_are_there(page: Path) -> None:
    names = re.findall(r"`((?:kd_hpc|kd_core|kd_analysis)(?:\.\w+)+)", page.read_text())
    assert not [name for name in names if missing_module(name)]


def missing_module(name: str) -> bool:
    """Whether a dotted name leads to no module or folder of ours; what follows a module may be anything in it, and a
    package may have names of its own."""
    package, *parts = name.split(".")
    if parts[0] in getattr(import_module(package), "__all__", ()):
        return False
    (place,) = ROOT.glob(f"packages/*/src/{package}")
    for part in parts:
        place /= part
        if place.with_suffix(".py").is_file():
            return False
    return not place.is_dir()


@every_text
def test_the_files_and_links_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    written = {step.path for step in steps_of(page) if isinstance(step, Written)}
    named = set(re.findall(FILES, text)) - written - {"campaigns/NAME.toml"}
    assert not [path for path in named if not (ROOT / path).exists()]
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert not [link for link in links if not (page.parent / link).exists()]


def test_ci_runs_the_command_the_readme_names_and_builds_the_site() -> None:
    assert "bash toolbox/test.sh" in (ROOT / ".ci/run").read_text()
    assert "bash toolbox/site.sh" in (ROOT / ".ci/run").read_text()
    assert "bash toolbox/test.sh" in (ROOT / "README.md").read_text()


def test_charlie_is_240_runs_and_digits_is_the_quickstart() -> None:
    from kd_hpc.campaign import load_campaign

    charlie = load_campaign(ROOT / "campaigns/charlie.toml").experiments()
    assert len(charlie) == len(set(charlie)) == 240
    assert sum(run.is_pure for run in charlie) == 24
    digits = load_campaign(ROOT / "campaigns/digits.toml").experiments()
    assert len(digits) == 60
    assert "campaigns/digits.toml" in (ROOT / "toolbox/quickstart.sh").read_text()


def test_charlie_with_its_controls_is_charlie_and_as_many_runs_as_its_first_line_says() -> None:
    from collections import Counter

    from kd_hpc.campaign import load_campaign

    path = ROOT / "campaigns/charlie-controls.toml"
    charlie, controls = load_campaign(ROOT / "campaigns/charlie.toml"), load_campaign(path)
    runs = controls.experiments()
    first_line = path.read_text().splitlines()[0]
    assert len(runs) == len(set(runs)) == int(re.findall(r"(\d+) runs", first_line)[0])
    assert f"{len(runs) - 240} more" in first_line
    assert set(charlie.experiments()) < set(runs)
    assert Counter(run.differs.control for run in runs) == {
        None: 240,
        "hard": 12,
        "random_teacher": 72,
        "other_teacher": 72,
        "shuffled": 12,
    }
    assert {run.alpha for run in runs if run.variant} == {None, 0.5}
    assert all(controls.recipe_for(run) == charlie.recipe_for(run) for run in charlie.experiments())


def test_the_published_protocol_is_as_many_runs_as_its_first_line_says() -> None:
    from kd_hpc.campaign import STUDENT, TEACHER, load_campaign

    path = ROOT / "campaigns/published.toml"
    campaign = load_campaign(path)
    runs = campaign.experiments()
    assert len(runs) == len(set(runs)) == int(re.findall(r"(\d+) runs", path.read_text().splitlines()[0])[0])
    assert set(campaign.published) == {TEACHER, STUDENT, *campaign.methods}
    recipes = {run.method: campaign.recipe_for(run) for run in runs}
    assert {method: recipe.mix for method, recipe in recipes.items() if recipe.mix != "sum"} == {
        "pure": "convex",
        "logit": "convex",
    }
    # what stands before each term in the loss is what the table's code has there
    told = {
        "rkd.distance": 25,
        "rkd.angle": 50,
        "nst.nst": 150,
        "sp.similarity": 3000,
        "dkd.target": 1,
        "dkd.others": 2,
    }
    (alpha,) = campaign.alphas
    assert {name: round(alpha * weight, 3) for name, weight in campaign.recipe.weights.items()} == told
