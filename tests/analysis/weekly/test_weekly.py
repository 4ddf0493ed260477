"""The week's story: what git and the records say, counted against oracles; silence where they say nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from kd_analysis.reading.runs_table import collect
from kd_analysis.weekly.activity import activity
from kd_analysis.weekly.git_history import Commit, Refused, read_history
from kd_analysis.weekly.page import as_markdown
from kd_analysis.weekly.story import Week, tell
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests import warm

WEEK = Week(date(2026, 3, 2), date(2026, 3, 8))
MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Five commits of the week, one before it and one after."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "Last week's work on plots", MONDAY - 3 * DAY, "packages/kd-analysis/src/kd_analysis/plots.py")
    planner = "packages/kd-hpc/src/kd_hpc/planning/planner.py"
    body = "A student that starts early\nlearns from noise.\n\nSeen in round beta."
    commit(root, "Students wait for their teacher", MONDAY, planner, "tests/hpc/test_planner.py", body=body)
    commit(root, "wip", MONDAY + HOUR, planner)
    commit(root, "fix bug", MONDAY + 2 * HOUR, planner)
    commit(root, "RKD in float32 | not half", MONDAY + DAY, "packages/kd-core/src/kd_core/methods/rkd.py", lines=50)
    commit(root, "Guide: the first day", MONDAY + 2 * DAY, "docs/guide/day one.md")
    commit(root, "Next week", MONDAY + 7 * DAY, planner)
    return root


def commit(root: Path, subject: str, moment: datetime, *paths: str, body: str = "", lines: int = 3) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with (root / path).open("a") as stream:
            stream.write(f"{subject}\n" * lines)
    git(root, "add", ".")
    stamp = moment.isoformat()
    git(root, "commit", "-q", "-m", f"{subject}\n\n{body}", GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp)


def git(root: Path, *words: str, **environment: str) -> None:
    who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", root, *words], env={**os.environ, **who, **alone, **environment}, check=True)


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Completed in one go; killed and continued; given up; and one of the week before."""
    store = Store(tmp_path / "experiments")
    first = Attempt(job_id="1.sched01", scheduler="pbs", started_at=MONDAY, ended_at=MONDAY + 2 * HOUR, start_epoch=0)
    first, killed, again, early, crashed = (first.model_copy(update={"job_id": f"{n}.sched01"}) for n in range(5))
    killed = killed.model_copy(update={"cause": "walltime", "detail": "killed at its walltime after 90 new epochs"})
    again = again.model_copy(update={"started_at": MONDAY + DAY, "ended_at": MONDAY + DAY + HOUR, "start_epoch": 90})
    early = early.model_copy(update={"started_at": MONDAY - 5 * DAY, "ended_at": MONDAY - 5 * DAY + HOUR})
    crashed = crashed.model_copy(update={"cause": "exception", "detail": "ValueError: no"})
    write(store, 0, State.COMPLETED, first)
    write(store, 1, State.COMPLETED, killed, again)
    write(store, 2, State.FAILED, crashed, reason="3 jobs in a row died", remedy="kd-hpc retry it")
    write(store, 3, State.COMPLETED, early)
    return store.root


def write(store: Store, seed: int, state: State, *attempts: Attempt, **changes: str) -> None:
    run = Experiment(dataset="Digits", student="ResNet20", seed=seed)
    epoch = 20 if state == State.COMPLETED else 0
    record = StatusRecord(state=state, epoch=epoch, epochs=20, experiment=run, attempts=attempts, **changes)
    if epoch:
        record = record.model_copy(update={"acc_last": 90.0 + seed, "acc_best": 91.0 + seed})
    store.write(run, record)
    if epoch:
        curve = {"test_acc": [80.0 + seed / 10 + k / 19 * (10 + seed * 0.9) for k in range(20)], "seconds": [3.0] * 20}
        (store.directory(run) / "metrics.json").write_text(json.dumps(curve))


def story(repository: Path, experiments: Path | None) -> str:
    return as_markdown(tell(WEEK, repository, collect(experiments) if experiments else None, "no forecast asked"))


def test_a_week_holds_its_own_commits_and_no_other(repository: Path) -> None:
    found = read_history(repository, *WEEK.span)
    assert not isinstance(found, Refused)
    assert [commit.subject for commit in found] == [
        "Students wait for their teacher",
        "wip",
        "fix bug",
        "RKD in float32 | not half",
        "Guide: the first day",
    ]
    before = read_history(repository, *WEEK.before.span)
    assert not isinstance(before, Refused)
    assert [commit.subject for commit in before] == ["Last week's work on plots"]


def test_work_is_grouped_by_theme_with_its_reason(repository: Path) -> None:
    text = story(repository, None)
    assert "Training and methods (1 commit), Getting runs onto the cluster (3 commits) and Documentation" in text
    (cluster,) = (line for line in text.splitlines() if line.startswith("- **Getting runs onto the cluster.**"))
    assert "Students wait for their teacher: A student that starts early learns from noise." in cluster
    assert cluster.endswith("And 2 others in planning/planner, 2 without a word why.")
    assert "- **Training and methods.** RKD in float32 \\| not half.\n" in text


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("wip", False),
        ("fix bug", False),
        ("Update.", False),
        ("more fixes and cleanup", False),
        ("", False),
        ("RKD in float32", True),
        ("Fix NaN gradient in RKD", True),
    ],
)
def test_a_message_that_says_nothing_is_known_as_such(subject: str, says: bool) -> None:
    assert Commit("", MONDAY, "", subject, "", {}).says_something is says


def test_runs_of_the_week_are_counted_and_deaths_told_with_what_was_done(repository: Path, experiments: Path) -> None:
    found = activity([item.run for item in collect(experiments).runs], *WEEK.span)
    assert (len(found.started), len(found.completed), found.hours) == (4, 2, 7.0)
    assert found.causes == {"walltime": 1, "exception": 1}
    text = story(repository, experiments)
    again = "killed at its walltime after 90 new epochs; tried again, now completed at epoch 20."
    assert f"- Digits/pure/ResNet20/1: {again}" in text
    assert "- Digits/pure/ResNet20/2: ValueError: no; given up." in text
    assert "1. **Digits/pure/ResNet20/2** needs you: 3 jobs in a row died. kd-hpc retry it" in text
    assert "| Digits | pure student ResNet20 |  | 2 | 3 | 91.33 | 90.00 to 93.00 |" in text


def test_numbers_stand_beside_those_of_the_week_before(repository: Path, experiments: Path) -> None:
    text = story(repository, experiments)
    for row in (
        "| attempts started | 4 | 1 |",
        "| runs completed | 2 | 1 |",
        "| attempts that ended early | 2 | 0 |",
        "| hours of work | 7.0 | 1.0 |",
        "| commits | 5 | 1 |",
    ):
        assert row in text


def test_what_carries_no_date_is_claimed_by_no_week(repository: Path, beta: Path) -> None:
    text = story(repository, beta)
    assert "0 attempts of 0 runs started; 0 runs completed" in text
    assert "runs with results carry no date: no week can claim them" in text


def test_where_records_carry_no_date_the_log_does(repository: Path, beta: Path) -> None:
    found = activity([item.run for item in collect(beta).runs], *Week(date(2026, 2, 16), date(2026, 2, 22)).span)
    assert set(found.started) >= {"TinyImageNet/pure/ResNet112/0", "SVHN/pure/ResNet56/0"}
    assert found.causes == {"exception": 3, "walltime": 2}
    assert found.hours == pytest.approx(sum((4, 5, 5)) / 3600, abs=2 / 3600)


def test_without_history_git_is_quoted_and_without_runs_it_says_so(tmp_path: Path) -> None:
    text = story(tmp_path, None)
    assert "nothing can be said: fatal: not a git repository" in text
    assert "There are no runs here." in text


def test_a_whole_campaigns_week_fits_a_page(repository: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "experiments")
    attempt = Attempt(job_id="1.sched01", scheduler="pbs", started_at=MONDAY, ended_at=MONDAY + HOUR, start_epoch=0)
    died = attempt.model_copy(update={"cause": "walltime", "detail": "killed at its walltime after 90 new epochs"})
    for method in ("logit", "rkd", "nst", "fitnets", "attention_transfer"):
        for alpha in (0.25, 0.5, 0.75):
            for seed in range(3):
                fields = {"dataset": "Digits", "student": "ResNetBaby", "teacher": "ResNet20", "seed": seed}
                run = Experiment(**fields, method=method, alpha=alpha)
                attempts = (died, attempt) if seed else (attempt,)
                record = StatusRecord(state=State.COMPLETED, epoch=1, epochs=1, experiment=run, attempts=attempts)
                store.write(run, record.model_copy(update={"acc_last": 90.0, "acc_best": 90.0}))
    text = story(repository, store.root)
    assert "| Digits | Logit KD | 0.25 | 3 |" in text
    assert "And 3 more kinds of run" in text
    assert "And 26 more:" in text
    assert len(text.split()) < 600
    assert len(text.splitlines()) < 60


def weekly(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [warm.to_start["kd-analysis"], "weekly", *map(str, words)], capture_output=True, text=True, timeout=1000
    )


def test_the_same_week_gives_the_same_bytes_with_the_forecast_of_kd_hpc(
    repository: Path, experiments: Path, tmp_path: Path
) -> None:
    campaign = tmp_path / "c.toml"
    campaign.write_text(
        'name = "c"\ndatasets = ["Digits"]\nteacher = "ResNet20"\nstudent = "ResNet20"\nseeds = [0, 1, 2, 3, 4]\n'
    )
    words = ("--repository", repository, "--experiments", experiments, "--campaign", campaign, "--today", "2026-03-08")
    first, second = weekly(*words), weekly(*words)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert first.stdout.startswith("# Week of 2026-03-02 to 2026-03-08\n")
    # 150 epochs of 3 seconds
    assert re.search(r"c: 1 run left\. By what was measured so far it takes [78] minutes more", first.stdout)
    assert "The tree now holds 4 runs of 5 planned" in first.stdout
    assert json.loads(weekly(*words, "--json").stdout)["this_week"]["hours"] == 7.0


@pytest.mark.parametrize("words", [("--since", "soon"), ("--since", "2026-03-09", "--today", "2026-03-08")])
def test_a_day_that_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    done = weekly(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
