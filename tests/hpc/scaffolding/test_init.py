"""kd-hpc init writes files that the other commands take, asks what was not said, and overwrites nothing."""

from __future__ import annotations

import shlex
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.catalogue import SCHEDULERS
from kd_hpc.errors import UsageError
from kd_hpc.scaffolding.campaign_text import campaign_text
from kd_hpc.scaffolding.questions import wishes_of
from kd_hpc.scaffolding.site_text import site_text
from kd_hpc.schedulers.registry import kind
from tests.hpc.support import KD_HPC, kd_hpc
from tests.hpc.terminal import Terminal
from tests.paths import ROOT

FULL: dict[str, Any] = {
    "name": "full",
    "datasets": ("SVHN", "Cifar100"),
    "teacher": "ResNet56",
    "student": "ResNet20",
    "methods": ("rkd",),
    "alphas": (0.1, 1.0),
    "seeds": 2,
    "epochs": 7,
    "queue": "gpu_1",
    "project": "ABCD1234",
    "walltime": "01:00:00",
    "cores": 3,
    "memory": "5gb",
    "gpus": 2,
    "gpu_type": "A100",
    "modules": ("a/1", "b/2"),
    "slots": 4,
}


def campaign_of(**given: Any) -> Campaign:
    return Campaign.model_validate(tomllib.loads(campaign_text(wishes_of(given, ask=False), "campaigns/x.toml")))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_with_nothing_said_it_is_a_campaign_for_that_scheduler(scheduler: str) -> None:
    campaign = campaign_of(scheduler=scheduler)
    assert campaign.scheduler.kind == scheduler
    assert len(campaign.experiments()) == 2 * 3 + 3 * 3 * 3
    for experiment in campaign.experiments():
        experiment.require_known()
    missing = kind(scheduler).missing_line(campaign)
    assert bool(missing) == (scheduler == "pbs"), "what only the user knows is asked for, not made up"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_everything_that_is_said_stands_in_the_file(scheduler: str) -> None:
    campaign = campaign_of(scheduler=scheduler, **FULL)
    asks = campaign.resources
    for name in ("datasets", "teacher", "student", "methods", "alphas", "name"):
        assert getattr(campaign, name) == FULL[name]
    for name in ("queue", "project", "walltime", "cores", "memory", "gpus", "gpu_type", "modules"):
        assert getattr(asks, name) == FULL[name], name
    assert (campaign.seeds, campaign.recipe.epochs, campaign.scheduler.slots) == ((0, 1), 7, 4)


def test_the_lines_about_being_told_hold_once_the_signs_are_taken_away() -> None:
    text = campaign_text(wishes_of({"scheduler": "local"}, ask=False), "campaigns/x.toml")
    head, _, rest = text.partition("# [notify]")
    notify = Campaign.model_validate(tomllib.loads(f"{head}[notify]{rest.replace('# command', 'command')}")).notify
    assert notify is not None
    assert "mail -s" in notify.command[-1]


def test_it_is_written_and_doctored_and_never_over_a_file(tmp_path: Path) -> None:
    done = kd_hpc("init", "first", "--scheduler", "local", "--dataset", "Digits", "--seeds", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Written: campaigns/first.toml\n")
    assert "kd-core data prepare Digits" in done.stdout
    text = (tmp_path / "campaigns/first.toml").read_text()
    assert load_campaign(tmp_path / "campaigns/first.toml").seeds == (0,)
    again = kd_hpc("init", "first", "--scheduler", "slurm", cwd=tmp_path)
    assert (again.returncode, "stays as it is" in again.stderr) == (2, True)
    assert (tmp_path / "campaigns/first.toml").read_text() == text


def test_a_project_code_goes_into_the_site_file_and_never_over_one(tmp_path: Path) -> None:
    words = ("--scheduler", "pbs", "--queue", "gpu_1", "--yes", "--project")
    done = kd_hpc("init", "first", *words, "ABCD1234", cwd=tmp_path)
    assert done.stdout.startswith("Written: campaigns/first.toml, site.toml\n"), done.stderr
    site = (tmp_path / "site.toml").read_text()
    assert "ABCD1234" not in (tmp_path / "campaigns/first.toml").read_text()
    assert load_campaign(tmp_path / "campaigns/first.toml").resources.project == "ABCD1234"
    kd_hpc("init", "second", *words, "WXYZ0001", cwd=tmp_path)
    assert load_campaign(tmp_path / "campaigns/second.toml").resources.project == "WXYZ0001"
    assert (tmp_path / "site.toml").read_text() == site


MISTAKES = {
    "--scheduler pbss": "Did you mean pbs?",
    "--teacher resnet56": "Did you mean ResNet56?",
    "--memory 3g": "kd-hpc init --help",
    "--scheduler pbs --queue 'a;b'": "could change the meaning of a job script",
    "--dataset Cifar": "Did you mean Cifar10",
    "--method rdk": "Did you mean rkd?",
    "--alpha 2": "at most 1",
    "--login me@host --folder /scratch/kd": "in a clone of the project",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_what_cannot_be_meant_is_a_sentence_and_no_file(words: str, tmp_path: Path) -> None:
    done = kd_hpc("init", "--yes", *shlex.split(words), cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert MISTAKES[words] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_laptops_settings_are_the_example_filled_in(tmp_path: Path) -> None:
    (tmp_path / "toolbox").mkdir()
    example = (ROOT / "toolbox/chpc.env.example").read_text()
    (tmp_path / "toolbox/chpc.env.example").write_text(example)
    words = ("--scheduler", "pbs", "--login", "me@login.example.org", "--folder", "/scratch/me/kd")
    done = kd_hpc("init", "far", *words, cwd=tmp_path, PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    assert "There is no qsub on this machine. Where there is: kd-hpc doctor campaigns/far.toml" in done.stdout
    shown = "echo $CHPC_USER $CHPC_HOST $CHPC_FOLDER $CHPC_CAMPAIGN $QUEUE_SECONDS"
    script = f". {tmp_path}/toolbox/chpc.env && {shown}"
    read = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=60)
    assert read.stdout.split()[:-1] == ["me", "login.example.org", "/scratch/me/kd", "campaigns/far.toml"]
    assert read.stdout.split()[-1].isdecimal(), "the other lines are kept"


@pytest.mark.parametrize(("login", "folder"), [("me", "/a"), ("me@h", ""), ("me@$(x)", "/a"), ("me@h", "/a b")])
def test_words_that_bash_would_take_for_its_own_are_refused(login: str, folder: str) -> None:
    with pytest.raises(UsageError, match="will not do"):
        site_text((ROOT / "toolbox/chpc.env.example").read_text(), login, folder, "campaigns/x.toml")


def answered(answers: Sequence[str], place: Path, *words: str) -> tuple[int, str]:
    """Exit status and screen of kd-hpc init at a terminal, where each question gets the next of `answers`."""
    with Terminal([KD_HPC, "init", *words], place) as terminal:
        screen = ""
        for answer in answers:
            screen += terminal.wait_for(r"\]: $")
            terminal.type(answer)
        status, rest = terminal.end()
    return status, screen + rest


def test_it_asks_what_was_not_said_and_asks_again_where_the_answer_cannot_be(tmp_path: Path) -> None:
    answers = ["Digit\n", "Digits\n", "ResNetBaby\n", "rkd, nst\n", "2\n", "0.5\n", "\n", "gpu\n", "-\n", "1h\n"]
    answers += ["01:00:00\n", "-\n", "-\n"]
    status, screen = answered(answers, tmp_path, "asked", "--scheduler", "slurm", "--teacher", "ResNet20")
    assert status == 0, screen
    assert "Did you mean Digits?" in screen
    assert "From 0 to 1." in screen
    assert "is not HH:MM:SS" in screen
    campaign = load_campaign(tmp_path / "campaigns/asked.toml")
    assert (campaign.datasets, campaign.student, campaign.methods) == (("Digits",), "ResNetBaby", ("rkd", "nst"))
    assert (campaign.alphas, campaign.seeds) == ((0.5,), (0, 1, 2))
    asks = campaign.resources
    assert (asks.queue, asks.project, asks.walltime, asks.modules) == ("gpu", None, "01:00:00", ())


def test_ctrl_c_at_a_question_leaves_nothing(tmp_path: Path) -> None:
    with Terminal([KD_HPC, "init"], tmp_path) as terminal:
        terminal.wait_for(r"\]: $")
        terminal.type("local\n")
        terminal.wait_for(r"\]: $")
        status, screen = terminal.interrupt()
    assert (status, "nothing was changed, and the same command asks again" in screen) == (1, True)
    assert list(tmp_path.iterdir()) == []
