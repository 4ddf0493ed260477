"""Options that a campaign adds to the submit command: what is given, what is refused, and Slurm's own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.errors import CampaignError
from kd_hpc.schedulers import registry
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.pbs.scheduler import qsub_arguments
from kd_hpc.schedulers.slurm.scheduler import sbatch_arguments
from tests.hpc.support import tiny_campaign

OWN = "kd-hpc sets it itself"


def spec(**asks: object) -> JobSpec:
    return JobSpec("kd-tokA", "tokA", ["true"], Path("/x/run"), Resources.model_validate(asks))


def make(kind: str, *directives: str) -> None:
    campaign = tiny_campaign(scheduler={"kind": kind}, resources={"directives": directives, "project": "ABCD1234"})
    registry.make(campaign, Path("control"))


@pytest.mark.parametrize(
    ("kind", "directive", "words"),
    [
        ("slurm", "--qos=long", ["--qos=long"]),
        ("slurm", "--exclusive", ["--exclusive"]),
        ("slurm", "-C v100", ["-C", "v100"]),
        ("slurm", "--mail-type=FAIL,TIME_LIMIT", ["--mail-type=FAIL,TIME_LIMIT"]),
        ("slurm", "--reservation=course", ["--reservation=course"]),
        ("pbs", "-W group_list=physics", ["-W", "group_list=physics"]),
        ("pbs", "-l place=excl", ["-l", "place=excl"]),
        ("pbs", "-M ann@example.org", ["-M", "ann@example.org"]),
    ],
)
def test_a_directive_is_given_to_the_submit_command_as_it_is(kind: str, directive: str, words: list[str]) -> None:
    make(kind, directive)
    arguments = {"slurm": sbatch_arguments, "pbs": qsub_arguments}[kind](spec(directives=[directive]))
    assert arguments[-len(words) :] == words


@pytest.mark.parametrize(
    ("kind", "directive", "why"),
    [
        ("slurm", "--array=1-9", OWN),
        ("slurm", "--arr=1-9", OWN),
        ("slurm", "-a 1-9", OWN),
        ("slurm", "--job-name=x", OWN),
        ("slurm", "--requeue", OWN),
        ("slurm", "--export=ALL", OWN),
        ("slurm", "--wait", OWN),
        ("slurm", "--clusters=all", OWN),
        ("slurm", "--partition=gpu", "queue under [resources]"),
        ("slurm", "-A x", "project under [resources]"),
        ("slurm", "--gres=gpu:2", "gpus (and gpu_type) under [resources]"),
        ("slurm", "-Cgpus", "a letter, a space and a value"),
        ("pbs", "-h u", OWN),
        ("pbs", "-N x", OWN),
        ("pbs", "-V", OWN),
        ("pbs", "-J 1-9", OWN),
        ("pbs", "-z", OWN),
        ("pbs", "-W group_list=x,block=true", OWN),
        ("pbs", "-l select=2", OWN),
        ("pbs", "-l walltime=1:00:00", "walltime under [resources]"),
        ("pbs", "-q big", "queue under [resources]"),
        ("pbs", "-m", "needs a value"),
        ("pbs", "--qos=long", "one letter, a space and a value"),
        ("local", "--qos=long", "no submit command"),
    ],
)
def test_a_directive_that_would_break_a_promise_is_refused(kind: str, directive: str, why: str) -> None:
    with pytest.raises(CampaignError) as refusal:
        make(kind, directive)
    assert repr(directive) in refusal.value.what
    assert why in refusal.value.what


@pytest.mark.parametrize(
    "value", ["qos=long", "--qos=$(id)", "--qos=a b", "--qos='a'", "-C a;b", "--qos=a\n--hold", ""]
)
def test_a_directive_that_is_no_plain_option_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="is not one option"):
        Resources.model_validate({"directives": [value]})


def test_slurms_own_words_for_queue_and_project_are_understood() -> None:
    found = Resources.model_validate({"partition": "gpu", "account": "phys", "gpus": 1, "gpu_type": "a100"})
    assert (found.queue, found.project) == ("gpu", "phys")
    arguments = sbatch_arguments(spec(partition="gpu", account="phys", gpus=1, gpu_type="a100"))
    assert {"--partition=gpu", "--account=phys", "--gres=gpu:a100:1"} <= set(arguments)
    with pytest.raises(ValidationError, match="two names of one thing"):
        Resources.model_validate({"partition": "gpu", "queue": "gpu"})
