"""[notify]: called once for each thing a person should know, whatever the command does and whenever it is killed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.notification.events import Event, of_failure, of_plan
from kd_hpc.notification.markers import Markers, Stage
from kd_hpc.notification.notifier import FOLDER, Notifier
from kd_hpc.planning.decision import Action, Decision, Plan
from tests.ctrl_c import press_ctrl_c
from tests.hpc.support import (
    CAMPAIGN,
    HANGS,
    KD_HPC,
    TEACHER,
    campaign_file,
    kd_hpc,
    no_jobs_left,
    tiny_campaign,
    wait_until,
)
from tests.paths import ROOT

TELLS = 'cat >>told.json; printf "%s\\n" "$KD_TITLE" >>titles'
"""A command that keeps what it is told."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with no_jobs_left(tmp_path):
        yield tmp_path


ONE_SEED = CAMPAIGN.replace("seeds = [0, 1]", "seeds = [0]")


def notifying(place: Path, script: str, seconds: float = 30, campaign: str = CAMPAIGN) -> None:
    command = json.dumps(["sh", "-c", script])
    campaign_file(place, campaign + f"\n[notify]\ncommand = {command}\nseconds = {seconds}\n")


def told(place: Path) -> list[dict[str, Any]]:
    """Every message so far."""
    text, found = (place / "told.json").read_text() if (place / "told.json").exists() else "", []
    while text:
        message, end = json.JSONDecoder().raw_decode(text)
        found.append(message)
        text = text[end:].lstrip()
    return found


def decision(seed: int, action: Action, reason: str = "", remedy: str = "") -> Decision:
    return Decision(Experiment(dataset="Digits", student="ResNet20", seed=seed), action, reason, remedy)


def test_needs_and_the_end_are_told_once_by_real_rounds_and_after_a_retry_again(place: Path) -> None:
    notifying(place, TELLS, campaign=ONE_SEED)
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="1")
    for _ in range(2):
        kd_hpc("queue", "tiny.toml", cwd=place)
    messages = told(place)
    assert [message["event"] for message in messages].count("ended") == 1
    needs = [detail for message in messages if message["event"] == "needs_person" for detail in message["details"]]
    concerned = [need["runs"][0] for need in needs]
    assert len(concerned) == len(set(concerned)) == 2, "the distilled one is told of with its teacher"
    assert TEACHER.label in concerned
    assert all("kd-hpc retry" in need["remedy"] for need in needs)
    first = messages[0]
    assert (first["schema_version"], first["campaign"]) == (1, "tiny")
    assert first["experiments"] == str(place / "experiments")
    assert (place / "titles").read_text().splitlines()[0] == first["title"]
    kd_hpc("retry", "--state", "failed", cwd=place)
    kd_hpc("queue", "tiny.toml", "--watch", cwd=place, STANDIN_DIE="1")
    assert {message["event"] for message in told(place)[len(messages) :]} == {"needs_person", "ended"}


def test_a_campaign_that_simply_ends_tells_just_that(place: Path) -> None:
    notifying(place, TELLS, campaign=ONE_SEED)
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=place)
    assert done.returncode == 0, done.stderr
    assert [(message["event"], message["details"]) for message in told(place)] == [
        ("ended", [{"completed": 3, "stopped": 0}])
    ]


AWKWARD = {
    "it fails": ("exit 3", "exited 3"),
    "it is not there": ("exec /no/such/program", "exited 127"),
    "it hangs": ("exec sleep 1000000", "gave no answer"),
    "it hangs and leaves a child behind": ("sleep 1000000 & sleep 1000000", "gave no answer"),
    "it is killed": ("kill -9 $$", "was killed by signal 9"),
    "it prints without end": ("yes | head -c 3000000; exit 1", "exited 1"),
    "it does not read": ("exit 0", ""),
}


@pytest.mark.parametrize(("script", "complaint"), AWKWARD.values(), ids=AWKWARD)
def test_whatever_the_command_does_the_round_is_the_same(place: Path, script: str, complaint: str) -> None:
    notifying(place, script, seconds=1)
    (place / "experiments" / TEACHER.path).mkdir(parents=True)
    (place / "experiments" / TEACHER.path / "status.json").write_text("{torn")
    without = kd_hpc("queue", campaign_file(place, name="plain.toml"), "--dry-run", "--json", cwd=place)
    done = kd_hpc("queue", "tiny.toml", "--json", cwd=place)
    assert done.returncode == 0
    assert json.loads(done.stdout)["decisions"] == json.loads(without.stdout)["decisions"]
    assert complaint in done.stderr
    wait_until(lambda: not [p for p in psutil.process_iter(["cmdline"]) if "1000000" in (p.info["cmdline"] or [])])


def test_a_failed_try_is_repeated_at_most_twice(place: Path) -> None:
    notifying(place, "echo x >>tries; exit 1")
    (place / "experiments" / TEACHER.path).mkdir(parents=True)
    (place / "experiments" / TEACHER.path / "status.json").write_text("{torn")
    for _ in range(5):
        kd_hpc("queue", "tiny.toml", cwd=place, STANDIN_HOLD="1", STANDIN_GO=str(place / "never"))
    assert (place / "tries").read_text() == "x\n" * 3


KILLED_AT = {"before the command began": "claimed", "while it was at work": "calling", "after it": "told"}


@pytest.mark.parametrize("stage", KILLED_AT.values(), ids=KILLED_AT)
def test_killed_anywhere_it_is_told_exactly_once(tmp_path: Path, stage: str) -> None:
    """The process that tells is killed when its marker says `stage`; a second one then finds that marker."""
    script = f"cat >/dev/null; echo x >>{shlex.quote(str(tmp_path))}/tries"
    program = f"""
import os, signal, sys
from pathlib import Path
from kd_hpc.notification import markers, notifier
from kd_hpc.planning.decision import Plan
from tests.hpc.notification.test_notification import decision, notifier_of
from kd_hpc.planning.decision import Action
stop = sys.argv[1] if len(sys.argv) > 1 else ""
publish = markers.publish_text
def spy(path, content):
    publish(path, content)
    if stop and f'"{{stop}}"' in content and not path.name.startswith('.'):
        os.kill(os.getpid(), signal.SIGKILL)
markers.publish_text = spy
create = markers.Markers._create
def spy_create(self, path, marker):
    made = create(self, path, marker)
    if stop == "claimed":
        os.kill(os.getpid(), signal.SIGKILL)
    return made
markers.Markers._create = spy_create
plan = Plan((decision(0, Action.FAIL, "it died", "kd-hpc retry it"), decision(1, Action.WAIT)))
notifier_of(Path({str(tmp_path)!r}), {script!r}).after_round(plan, failure="", is_known=True)
"""
    first = subprocess.run([sys.executable, "-c", program, stage], check=False, timeout=HANGS)
    assert first.returncode == -signal.SIGKILL
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=HANGS)
    tries = (tmp_path / "tries").read_text() if (tmp_path / "tries").exists() else ""
    assert tries == ("" if stage == "calling" else "x\n"), "begun counts as told: never twice"


def notifier_of(place: Path, script: str) -> Notifier:
    (place / "experiments").mkdir(exist_ok=True)
    campaign = tiny_campaign(notify={"command": ["sh", "-c", script]})
    return Notifier(campaign, place / "experiments", place / "experiments/.kd")


def test_of_many_at_once_exactly_one_tells(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from tests.hpc.notification.test_notification import decision, notifier_of
from kd_hpc.planning.decision import Action, Plan
import sys
sys.stdin.read()
plan = Plan((decision(0, Action.FAIL, "it died"), decision(1, Action.WAIT)))
script = "cat >/dev/null; echo x >>{tmp_path}/tries"
notifier_of(Path({str(tmp_path)!r}), script).after_round(plan, failure="", is_known=True)
"""
    rivals = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(4)]
    try:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.close()
        assert [rival.wait(HANGS) for rival in rivals] == [0] * 4
    finally:
        for rival in rivals:
            rival.kill()
    assert (tmp_path / "tries").read_text() == "x\n"


def test_rounds_that_fail_for_a_day_are_told_of_once_and_again_only_after_a_good_one(tmp_path: Path) -> None:
    notifier = notifier_of(tmp_path, f"cat >/dev/null; echo x >>{tmp_path}/tries")
    tries, failing = tmp_path / "tries", tmp_path / "experiments/.kd" / FOLDER / "failing"
    notifier.after_failure("the scheduler gave no answer")
    assert not tries.exists()
    failing.write_text((datetime.now(UTC) - timedelta(hours=25)).isoformat())
    for _ in range(3):
        notifier.after_failure("the scheduler gave no answer")
    assert tries.read_text() == "x\n"
    good = Plan((decision(1, Action.WAIT),))
    notifier.after_round(good, failure="", is_known=True)
    assert not failing.exists()
    notifier.after_failure("again")
    assert tries.read_text() == "x\n", "a new day begins"
    failing.write_text((datetime.now(UTC) - timedelta(hours=25)).isoformat())
    notifier.after_failure("again")
    assert tries.read_text() == "x\n" * 2


def test_a_queue_that_cannot_reach_its_scheduler_for_a_day_tells(place: Path) -> None:
    notifying(place, TELLS)
    path = place / "tiny.toml"
    path.write_text(path.read_text().replace('kind = "local"', 'kind = "slurm"'))
    (place / "experiments").mkdir()
    assert kd_hpc("queue", "tiny.toml", cwd=place).returncode == 75
    failing = place / "experiments/.kd" / FOLDER / "failing"
    failing.write_text((datetime.now(UTC) - timedelta(days=2)).isoformat())
    for _ in range(2):
        assert kd_hpc("queue", "tiny.toml", cwd=place).returncode == 75
    (message,) = told(place)
    assert message["event"] == "unable"
    assert "squeue" in message["text"]


def test_patience_ends_after_exactly_a_day() -> None:
    now = datetime.now(UTC)
    assert of_failure("c", now - timedelta(hours=23, minutes=59), now, "why") == []
    (event,) = of_failure("c", now - timedelta(days=1), now, "why")
    assert "why" in event.text


def test_runs_with_one_remedy_are_one_event_and_a_new_one_another() -> None:
    teacher = decision(0, Action.BLOCK, "failed: memory", "kd-hpc retry teacher")
    student = decision(1, Action.BLOCK, "its teacher is failed", "kd-hpc retry teacher")
    (first,) = of_plan("c", Plan((teacher, student, decision(3, Action.WAIT))), Path("elsewhere"))
    assert first.details["remedy"] == "kd-hpc retry teacher --experiments elsewhere"
    assert first.details["runs"] == [teacher.experiment.label, student.experiment.label]
    other = decision(2, Action.FAIL, "cancelled by you", "kd-hpc retry other")
    both = of_plan("c", Plan((teacher, student, other, decision(3, Action.WAIT))), Path("experiments"))
    assert next(event.name for event in both) == first.name
    assert len({event.name for event in both}) == 2
    settled = of_plan("c", Plan((teacher, decision(4, Action.DONE))), Path("experiments"))
    assert settled[-1].details == {"completed": 1, "stopped": 1}


def test_a_marker_of_a_live_process_is_left_to_it(tmp_path: Path) -> None:
    event, markers = Event("needs_person", "k", "title", "text"), Markers(tmp_path)
    path = markers.claim(event)
    assert path is not None
    assert markers.claim(event) is None
    markers.note(path, event, Stage.FAILED)
    assert markers.claim(event) is not None
    markers.forget_others(["needs_person"], [])
    assert list(tmp_path.iterdir()) == []


def test_the_test_says_whether_the_command_was_content(place: Path) -> None:
    campaign_file(place)
    none = kd_hpc("notify", "tiny.toml", cwd=place)
    assert (none.returncode, "[notify]" in none.stderr) == (2, True)
    notifying(place, TELLS)
    assert kd_hpc("notify", "tiny.toml", cwd=place).returncode == 0
    assert [message["event"] for message in told(place)] == ["test"]
    notifying(place, "echo no such host >&2; exit 6")
    failed = kd_hpc("notify", "tiny.toml", cwd=place)
    assert (failed.returncode, "no such host" in failed.stderr) == (1, True)
    assert not (place / "experiments").exists()


def test_a_round_elsewhere_that_failed_counts_towards_the_day(place: Path) -> None:
    notifying(place, TELLS)
    (place / "experiments").mkdir()
    kd_hpc("notify", "tiny.toml", "--unable", "reach failed", cwd=place)
    (place / "experiments/.kd" / FOLDER / "failing").write_text((datetime.now(UTC) - timedelta(days=2)).isoformat())
    kd_hpc("notify", "tiny.toml", "--unable", "reach failed", cwd=place)
    assert [message["event"] for message in told(place)] == ["unable"]


def test_ctrl_c_while_it_is_called_ends_the_watching_as_ever(place: Path) -> None:
    notifying(place, "touch called; sleep 3; echo x >done")
    (place / "experiments" / TEACHER.path).mkdir(parents=True)
    (place / "experiments" / TEACHER.path / "status.json").write_text("{torn")
    watcher = subprocess.Popen(
        [KD_HPC, "queue", "tiny.toml", "--watch"], cwd=place, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until((place / "called").exists)
        _, said = press_ctrl_c(watcher)
    finally:
        watcher.kill()
    assert watcher.returncode == 130
    assert "Come back with" in said


EXAMPLES = re.findall(
    r"^```ini\n(.*?)^```", (ROOT / "docs/guide/notifications.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("program", "example"), [*zip(("mail", "curl"), EXAMPLES, strict=True)])
def test_the_examples_of_the_guide_send_title_and_text(place: Path, program: str, example: str) -> None:
    stand_in = place / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{place}/words\n[ {program} = curl ] || cat >>{place}/words\n'
    )
    stand_in.chmod(0o755)
    campaign_file(place, f"{CAMPAIGN}\n{example}")
    done = kd_hpc("notify", "tiny.toml", cwd=place, PATH=f"{stand_in.parent}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    words = (place / "words").read_text()
    assert "tiny: a test\n" in words
    assert "You will be told when a run needs you" in words
    assert ("you@example.org" if program == "mail" else "https://ntfy.sh/") in words


def test_a_round_that_worked_elsewhere_ends_the_day(place: Path) -> None:
    notifying(place, TELLS)
    (place / "experiments").mkdir()
    kd_hpc("notify", "tiny.toml", "--unable", "no network", cwd=place)
    failing = place / "experiments/.kd" / FOLDER / "failing"
    assert failing.exists()
    kd_hpc("notify", "tiny.toml", "--able", cwd=place)
    assert not failing.exists()
    assert kd_hpc("notify", "tiny.toml", "--able", "--unable", "x", cwd=place).returncode == 2
    assert told(place) == []


def test_of_very_many_things_ten_are_told_in_words(tmp_path: Path) -> None:
    notifier = notifier_of(tmp_path, f"cat >{tmp_path}/told.json")
    plan = Plan(tuple(decision(seed, Action.FAIL, f"reason {seed}", f"kd-hpc retry {seed}") for seed in range(13)))
    notifier.after_round(Plan((*plan.decisions, decision(20, Action.WAIT))), failure="", is_known=True)
    (message,) = told(tmp_path)
    assert len(message["details"]) == 13
    assert message["text"].count("Next: ") == 10
    assert message["text"].endswith("And 3 more: kd-hpc status")
