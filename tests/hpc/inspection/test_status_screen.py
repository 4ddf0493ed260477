"""kd-hpc status on a campaign of 240 runs, half done: what one screen of 80 x 24 shows, and that it is true."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kd_hpc.disk.sealed import seal_object
from kd_hpc.inspection.grid import Mark, make_grid, mark_of
from kd_hpc.inspection.overview import make_overview
from kd_hpc.inspection.overview_text import SIGNS, Screen
from kd_hpc.inspection.rows import Row, read_rows
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store
from tests.half_done_tree import make
from tests.hpc.support import KD_HPC, kd_hpc
from tests.hpc.terminal import Terminal

MARKS = "".join(sign for sign, _, _ in SIGNS.values())


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `experiments` with the runs, and the campaign beside it."""
    place = tmp_path_factory.mktemp("half")
    make(place / "experiments")
    (place / "experiments/campaign.toml").rename(place / "charlie.toml")
    return place


@pytest.fixture(scope="module")
def rows(half: Path) -> list[Row]:
    return read_rows(Store(half / "experiments"), half / "charlie.toml")


def plain(text: str, style: str) -> str:
    return text


def screen_of(rows: list[Row], columns: int = 80, lines: int | None = 23) -> list[str]:
    overview = make_overview("charlie", Path("experiments"), rows, None, datetime.now(UTC))
    return Screen(columns, lines, plain).lines(overview)


def height(lines: list[str], columns: int) -> int:
    return sum(max(1, -(-len(line) // columns)) for line in lines)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 50), (60, 24), (80, 18)], ids=str)
def test_everything_fits_the_terminal_with_a_line_for_the_prompt(rows: list[Row], size: tuple[int, int]) -> None:
    columns, lines = size
    shown = screen_of(rows, columns, lines - 1)
    assert height(shown, columns) <= lines - 1
    assert any("need you" in line for line in shown)
    assert any("in_progress in 10 jobs" in line for line in shown)


def test_the_totals_are_those_of_the_records_in_words_that_state_takes(rows: list[Row], half: Path) -> None:
    head = " ".join(screen_of(rows)[:4])
    counted = {state: int(number) for number, state in re.findall(r"(\d+) ([a-z_]+)", head) if state != "runs"}
    assert counted == dict(Counter(row.state for row in rows))
    for state, number in counted.items():
        listed = kd_hpc("status", "charlie.toml", "--state", state, cwd=half).stdout.splitlines()
        assert len(listed) == 1 + number, state


def test_the_grid_has_one_sign_a_run_where_it_belongs(rows: list[Row]) -> None:
    lines = screen_of(rows)
    first = next(place for place, line in enumerate(lines) if "Cifar10 " in line)
    names = [
        "ResNet112 pure",
        "ResNet56 pure",
        "logit",
        "factor_transfer",
        "attention_transfer",
        "fitnets",
        "rkd",
        "nst",
    ]
    assert [line.split("  ")[0].strip() for line in lines[first + 1 : first + 9]] == names
    starts = [lines[first].index(name) for name in ("Cifar10 ", "Cifar100", "SVHN", "TinyImageNet")]
    logit = lines[first + 3]
    cells = [logit[start:end].split() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    by_run = {row.label: SIGNS[mark_of(row)][0] for row in rows}
    for dataset, cell in zip(("Cifar10", "Cifar100", "SVHN", "TinyImageNet"), cells, strict=True):
        for alpha, seeds in zip(("0.25", "0.5", "0.75"), cell, strict=True):
            labels = [f"{dataset}/logit/alpha_{alpha}/ResNet112_to_ResNet56/{seed}" for seed in range(3)]
            assert seeds == "".join(by_run[label] for label in labels)
    assert sum(letter in MARKS for line in lines[first + 1 : first + 9] for letter in line) == 240


def test_what_a_flagged_teacher_holds_up_is_told_apart_from_what_is_to_come(rows: list[Row]) -> None:
    marks = {row.label: mark_of(row) for row in rows}
    assert marks["SVHN/pure/ResNet112/2"] == Mark.DOUBTFUL
    assert marks["SVHN/nst/alpha_0.5/ResNet112_to_ResNet56/2"] == Mark.HELD_UP
    assert marks["TinyImageNet/nst/alpha_0.5/ResNet112_to_ResNet56/2"] == Mark.TO_COME


def test_a_silent_job_comes_first_and_time_left_is_epochs_by_pace(rows: list[Row]) -> None:
    overview = make_overview("charlie", Path("experiments"), rows, None, datetime.now(UTC))
    silent, *others = overview.at_work
    assert (silent.silent is not None, len(silent.rows)) == (True, 6)
    assert 6.9 * 3600 < (silent.silent or 0) < 7.1 * 3600
    assert [job.silent for job in others] == [None] * 9
    lone = next(job for job in others if job.leader.label == "TinyImageNet/pure/ResNet56/2")
    assert lone.left == pytest.approx((150 - 41) * 230 * 0.6, rel=0.02)


def test_needs_are_grouped_and_their_command_means_just_them(rows: list[Row], half: Path) -> None:
    overview = make_overview("charlie", Path("experiments"), rows, None, datetime.now(UTC))
    assert [(len(need.rows), need.holds_up) for need in overview.needs] == [(7, 18), (1, 18), (1, 0)]
    memory = overview.needs[0]
    command = memory.remedy.partition("kd-hpc ")[2]
    assert command == "retry --state failed"
    done = kd_hpc(*command.split(), "--dry-run", "--campaign", "charlie.toml", cwd=half)
    assert {line.split(":")[0] for line in done.stdout.splitlines()} == {row.label for row in memory.rows}


def test_names_and_commands_are_never_cut(rows: list[Row]) -> None:
    for columns in (40, 60, 80):
        text = "\n".join(screen_of(rows, columns, None))
        for job in make_overview("", Path("experiments"), rows, None, datetime.now(UTC)).at_work:
            assert job.leader.label in text
        assert "kd-hpc retry --anew SVHN/pure/ResNet112/2" in text


def test_variants_and_pairs_are_further_lines(rows: list[Row]) -> None:
    label = "Cifar10/logit+random_teacher/alpha_0.5/ResNet112_to_ResNet56/0"
    names = [line.name for line in make_grid([*rows, Row(label, None)]).lines]
    assert names[2:5] == ["logit", "logit+random_teacher", "factor_transfer"]
    hard = [line.name for line in make_grid([*rows, Row("Cifar10/pure+hard/ResNet56/0", None)]).lines]
    assert hard[:3] == ["ResNet112 pure", "ResNet56 pure", "ResNet56 pure+hard"]
    pairs = [line.name for line in make_grid([*rows, Row("Cifar10/rkd/alpha_0.5/ResNet56_to_ResNet20/0", None)]).lines]
    assert "rkd ResNet56_to_ResNet20" in pairs
    assert "rkd ResNet112_to_ResNet56" in pairs


def test_a_grid_too_wide_for_signs_counts_and_one_too_tall_shows_what_moves(rows: list[Row]) -> None:
    assert any(re.search(r"logit +9/9 ", line) for line in screen_of(rows, 60))
    many = [Row(f"Cifar10/logit+temperature_{n}/alpha_0.5/ResNet112_to_ResNet56/0", None) for n in range(2, 40)]
    shown = screen_of([*rows, *many])
    assert height(shown, 80) <= 23
    assert any(re.fullmatch(r"and \d+ more lines: kd-hpc status --all", line) for line in shown)
    assert any(line.startswith("rkd ") for line in shown)


def test_a_terminal_without_signs_gets_letters(rows: list[Row]) -> None:
    overview = make_overview("charlie", Path("experiments"), rows, None, datetime.now(UTC))
    letters = "\n".join(Screen(80, 23, plain, is_ascii=True).lines(overview))
    assert letters.replace("…", "").isascii()


def test_records_that_stopped_hours_ago_are_said_to_be_old() -> None:
    now = datetime.now(UTC)
    record = StatusRecord(state=State.IN_PROGRESS, epochs=150, epoch=3, updated_at=now - timedelta(hours=5))
    overview = make_overview("", Path("x"), [Row("Digits/pure/ResNet20/0", record)], None, now)
    assert overview.at_work[0].silent is None, "it is the newest there is"
    assert any("5 hours ago" in line for line in Screen(80, 23, plain).lines(overview))


def test_json_says_what_the_screen_says(half: Path, rows: list[Row]) -> None:
    found = json.loads(kd_hpc("status", "charlie.toml", "--json", cwd=half).stdout)
    assert [run["run"] for run in found["runs"]] == [row.label for row in rows]
    assert found["totals"] == dict(Counter(row.state for row in rows))
    assert [need["holds_up"] for need in found["needs"]] == [18, 18, 0]
    assert found["forecast"]["campaign"] == "charlie"


def in_terminal(words: list[str], cwd: Path, *, columns: int = 80, lines: int = 24, until: str = "") -> tuple[str, int]:
    """What a program prints on a terminal of that size; with `until`, it gets Ctrl-C as soon as that was printed."""
    with Terminal(words, cwd, keeps_colours=True, columns=columns, lines=lines) as terminal:
        before = terminal.wait_for(re.escape(until)) if until else ""
        code, rest = terminal.interrupt() if until else terminal.end()
    return before + rest, code


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


def test_on_a_real_terminal_it_is_one_coloured_screen(half: Path) -> None:
    said, code = in_terminal([KD_HPC, "status", "charlie.toml"], half)
    assert code == 0
    assert "\x1b[32m■" in said
    assert height(without_colours(said).splitlines(), 80) <= 23


def test_a_list_too_wide_for_the_terminal_keeps_names_whole(half: Path) -> None:
    said, _ = in_terminal([KD_HPC, "status", "charlie.toml", "TinyImageNet/*"], half)
    lines = without_colours(said).splitlines()
    names = [line.split()[0] for line in lines if line.startswith("TinyImageNet")]
    assert len(names) == 60
    assert all(len(line) <= 80 for line in lines)


def test_watching_redraws_and_ctrl_c_leaves_the_last_picture(half: Path) -> None:
    said, code = in_terminal([KD_HPC, "status", "charlie.toml", "--watch"], half, until="need you")
    assert code == 130
    assert said.startswith("\x1b[?1049h")
    after = said.rpartition("\x1b[?1049l")[2]
    assert "240 runs" in after
    assert "Traceback" not in said


WRONG = {
    "an unknown run": (["status", "Cifar100/rdk/*"], "Cifar100/rkd"),
    "a level alone": (["status", "rkd"], "Did you mean '*/rkd/*'?"),
    "an unknown run to explain": (["why", "SVHN/pure/ResNet112/7"], "Did you mean SVHN/pure/ResNet112/"),
    "an unknown run to retry": (["retry", "SVHN/pure/ResNet12/0"], "Did you mean SVHN/pure/ResNet112/0?"),
    "an unknown run to cancel": (["cancel", "SVHN/pure/ResNet12/0"], "Did you mean SVHN/pure/ResNet112/0?"),
    "an unknown state": (["status", "--state", "fail"], "Did you mean failed?"),
    "a state nobody is in": (["status", "--state", "submitting"], "No run in experiments is submitting."),
    "no run to retry": (["retry"], "Which runs are meant?"),
    "an unknown campaign": (["status", "charly.toml"], "Did you mean charlie.toml?"),
    "an unknown folder": (["status", "--experiments", "experiment"], "Did you mean experiments?"),
    "a file for a folder": (["status", "--experiments", "charlie.toml"], "is a file"),
}


@pytest.mark.parametrize(("words", "answer"), WRONG.values(), ids=WRONG)
def test_what_is_not_there_is_said_in_a_sentence_with_a_near_match(words: list[str], answer: str, half: Path) -> None:
    done = kd_hpc(*words, cwd=half)
    assert done.returncode == 2, done.stderr
    assert answer in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


SELECTIONS = {
    "a run": (["SVHN/pure/ResNet56/0"], 1),
    "a run as the shell completes it": (["experiments/SVHN/pure/ResNet56/0/"], 1),
    "a folder": (["Cifar100/rkd"], 9),
    "a pattern": (["Cifar100/rkd/*"], 9),
    "a pattern across levels": (["*/rkd/*/0"], 12),
    "a job": (["7002748.sched01"], 6),
    "a job's number": (["7002748"], 6),
    "a state": (["--state", "suspect"], 1),
    "two states": (["--state", "suspect", "--state", "failed"], 8),
    "a pattern and a state": (["Cifar100/*", "--state", "failed"], 6),
    "twice the same": (["Cifar100/rkd", "Cifar100/rkd/*"], 9),
}


@pytest.mark.parametrize(("words", "number"), SELECTIONS.values(), ids=SELECTIONS)
def test_runs_are_meant_by_path_folder_pattern_job_and_state(words: list[str], number: int, half: Path) -> None:
    found = json.loads(kd_hpc("status", "charlie.toml", *words, "--json", cwd=half).stdout)
    assert len(found["runs"]) == number


def test_why_of_many_runs_tells_reasons_on_one_screen(half: Path) -> None:
    found = kd_hpc("why", "SVHN", "--campaign", "charlie.toml", cwd=half).stdout
    assert height(found.splitlines(), 80) <= 23
    everything = kd_hpc("why", "SVHN", "--campaign", "charlie.toml", "--all", cwd=half).stdout
    assert sum(line.startswith("  SVHN/") for line in everything.splitlines()) == 60
    groups = json.loads(kd_hpc("why", "SVHN", "--campaign", "charlie.toml", "--json", cwd=half).stdout)["groups"]
    assert sorted(len(group["runs"]) for group in groups) == [1, 1, 4, 18, 36]


def test_why_of_a_run_with_a_hundred_attempts_fits_a_screen_and_all_shows_all(half: Path) -> None:
    label = "Cifar10/pure/ResNet56/2"
    path = half / "experiments" / label / "status.json"
    record = json.loads(path.read_text())
    attempt = record["attempts"][0]
    record["attempts"] = [{**attempt, "number": n, "detail": "killed " * 40} for n in range(1, 101)]
    before = path.read_text()
    path.write_text(json.dumps(seal_object(record)))
    shown = kd_hpc("why", label, cwd=half).stdout.splitlines()
    everything = kd_hpc("why", label, "--all", cwd=half).stdout.splitlines()
    path.write_text(before)
    assert height(shown, 80) <= 23
    assert "(" in "".join(shown)
    assert any(line.startswith("attempt 1 ") for line in shown)
    assert any(line.startswith("attempt 100") for line in shown)
    assert shown[-1] == "Everything: the same command with --all"
    assert sum(line.startswith("attempt ") for line in everything) == 100


def test_commands_name_the_folder_they_are_about(half: Path) -> None:
    words = (half / "charlie.toml", "--experiments", half / "experiments", "--all")
    elsewhere = kd_hpc("status", *words, cwd=half.parent)
    commands = re.findall(r"kd-hpc retry .*", elsewhere.stdout)
    assert len(commands) == 3
    assert all(f"--experiments {half / 'experiments'}" in command for command in commands)
